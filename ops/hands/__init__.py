"""The controls of `ops/up`, called hands in the code: the live page asks this server for load, faults and kills."""
