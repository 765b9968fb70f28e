-- What tells a failover that lost nothing from one that did.
ALTER TABLE replica
    -- Rises with each registration and each beat, and is never given twice, in whatever history: who finds that it is
    -- not below the last one that was acknowledged has all that was acknowledged before.
    ADD COLUMN mark bigint NOT NULL DEFAULT 0,
    -- The transaction that wrote last under this mark, where the row has changed since.
    ADD COLUMN locked_by bigint NOT NULL DEFAULT 0,
    -- Whether its last registration or beat waited for a standby.
    ADD COLUMN is_synchronous boolean NOT NULL DEFAULT false,
    -- The history in which it has found all that it had been told of.
    ADD COLUMN confirmed_history text;
ALTER TABLE gateway
    -- The history of which it is decided whether it lacks anything.
    ADD COLUMN established_history text,
    -- The last one that was found to lack something, and when.
    ADD COLUMN forgot_history text,
    ADD COLUMN forgot_at_ms bigint;
UPDATE gateway SET established_history = database_history();

-- Whether a commit of this session waits until a standby has it on its disk.
CREATE FUNCTION is_commit_synchronous() RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT current_setting('synchronous_standby_names') <> ''
        AND current_setting('synchronous_commit') IN ('on', 'remote_apply')
$$;

-- Lets a batch fail that was meant for another timeline.
CREATE FUNCTION refuse_timeline() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'another Postgres has taken over: not registered there';
END
$$;
