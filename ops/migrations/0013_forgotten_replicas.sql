-- Replicas that have left and hold nothing are not waited for, and in the end forgotten: with a name for each host, or
-- for each container that was ever started, they would be read with every heartbeat for ever.

-- At which beat a replica held nothing that is not in Postgres: it has left with an empty journal, or an operator has
-- said that its host is gone for good. It holds as long as the replica has neither registered nor beaten since.
ALTER TABLE replica ADD COLUMN emptied_beats bigint;

-- The highest epoch, position in the log and mark of those that were forgotten: whoever takes a name anew begins above them,
-- so that nothing which an earlier holder sent takes effect, and misses nothing that it had noted.
ALTER TABLE gateway
    ADD COLUMN forgotten_epoch bigint NOT NULL DEFAULT 0,
    ADD COLUMN forgotten_position bigint NOT NULL DEFAULT 0,
    ADD COLUMN forgotten_mark bigint NOT NULL DEFAULT 0;
