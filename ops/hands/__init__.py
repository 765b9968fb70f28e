"""The hands of `ops/up`: a server on loopback that lets the live page offer a load, disturb processors, kill replicas."""
