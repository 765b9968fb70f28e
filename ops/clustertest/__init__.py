"""The parts of `ops/cluster`: three hosts as network namespaces of this machine, and the faults of their chaos run."""
