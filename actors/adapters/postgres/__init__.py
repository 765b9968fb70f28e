"""Postgres, where payments, leases and purges are recorded: one adapter for each role over shared connections."""
