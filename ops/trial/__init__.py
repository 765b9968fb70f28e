"""The trial that `ops/chaos` runs: load and seeded faults on real processes, then an audit of every payment."""
