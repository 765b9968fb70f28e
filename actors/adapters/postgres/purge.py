def PostgresPurge(c): return c
