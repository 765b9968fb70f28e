-- The feed of what ended. Each end gets a number from the transaction that writes it. Transactions commit in another
-- order than that of their numbers: whoever reads goes no further than the lowest number of one that still runs.

-- Which database this is: the identifier of its data and its timeline. Numbers of transactions mean something within
-- one alone: a restore or a standby that takes over goes back to numbers that were given before.
CREATE FUNCTION database_history() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT system_identifier || '/' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8) FROM pg_control_system()
$$;

ALTER TABLE gateway
    -- Tells the cursors of this gateway from those of others.
    ADD COLUMN feed_id integer NOT NULL DEFAULT 0,
    -- An end's number is this plus the number of its transaction. It is chosen anew for each history of the database, so
    -- that numbers begin at the microseconds since the epoch: above all that any history has ever given, since no
    -- database runs a million transactions in each second.
    ADD COLUMN feed_offset bigint NOT NULL DEFAULT 0,
    ADD COLUMN feed_history text,
    -- The number of the last purge; NULL where none was finished since this migration.
    ADD COLUMN purge_number bigint;
UPDATE gateway SET
    feed_id = floor(random() * 2147483647),
    feed_offset = floor(extract(epoch FROM clock_timestamp()) * 1000000) - pg_current_xact_id()::text::bigint,
    feed_history = database_history();

-- The default is for replicas of the release before: later ones write the same number, once for a whole batch.
CREATE FUNCTION next_end_number() RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT feed_offset + pg_current_xact_id()::text::bigint FROM gateway WHERE only_row
$$;

-- What ended before this has the number 0: a constant default is kept once for the whole table, so that no row is
-- written. Settlements wait while the index is built, in the replicas.
ALTER TABLE settlement ADD COLUMN end_number bigint NOT NULL DEFAULT 0;
ALTER TABLE settlement ALTER COLUMN end_number SET DEFAULT next_end_number();
CREATE INDEX settlement_end_number ON settlement (end_number, correlation_id);
ALTER TABLE closed ADD COLUMN end_number bigint NOT NULL DEFAULT 0;
ALTER TABLE closed ALTER COLUMN end_number SET DEFAULT next_end_number();
CREATE INDEX closed_end_number ON closed (end_number, correlation_id);
