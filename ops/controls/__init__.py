"""The controls of `ops/up`: the live page asks this server for load, faults and kills."""
