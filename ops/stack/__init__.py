"""A whole gateway on one machine: PostgreSQL, Redis, simulated processors and replicas, each a process."""
