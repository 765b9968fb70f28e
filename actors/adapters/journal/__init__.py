"""The journal: append-only segments on disk, one folder per replica, and the queue of payments that Postgres lacks."""
