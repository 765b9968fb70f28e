"""What ops/cluster runs: three hosts as network namespaces of this machine, and what happens to them."""
