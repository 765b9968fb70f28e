"""The hands of `ops/up`: a server on loopback by which the live page offers load, injects faults and kills replicas."""
