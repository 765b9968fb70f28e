"""What `ops/bench` runs: named benchmarks, each with a baseline in the same call."""
