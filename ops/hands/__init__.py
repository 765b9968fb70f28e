"""The hands of `ops/up`: a server on loopback by which the live page offers a load, disturbs and kills."""
