"""A whole gateway on one machine: PostgresServer, Redis, simulated processors and replicas, each a process."""
