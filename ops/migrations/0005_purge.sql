-- A purge has an instant: it forgets what was accepted up to then, wherever that stands. Purges of the release before
-- forgot all that is of an earlier generation.
ALTER TABLE gateway ADD COLUMN purged_at_ms bigint NOT NULL DEFAULT 0;
UPDATE gateway SET purged_at_ms = extract(epoch FROM clock_timestamp()) * 1000 WHERE generation > 0;

-- How far Postgres' log was at a replica's last heartbeat: where that has gone back, Postgres has forgotten something.
ALTER TABLE replica ADD COLUMN log_position bigint NOT NULL DEFAULT 0;
