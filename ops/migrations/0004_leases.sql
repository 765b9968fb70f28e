-- A lease is counted in beats, which others see standing still by their own monotonic clocks: no clock of the server
-- decides who lives. A registration is over once left_epoch has reached its epoch: its replica has retired, or others
-- have ended its lease. A later epoch, under whatever release, lives again.
ALTER TABLE replica
    ADD COLUMN beats bigint NOT NULL DEFAULT 0,
    ADD COLUMN left_epoch bigint NOT NULL DEFAULT 0,
    -- The greatest watermark that was ever published under the name. Who joins stamps no charge below that of anybody.
    ADD COLUMN published_ms bigint NOT NULL DEFAULT 0,
    -- With each beat: the clock that charges are stamped by, and that of the system. None of a release before.
    ADD COLUMN clock_ms bigint,
    ADD COLUMN system_clock_ms bigint;

-- What was published before, except by those that have retired with nothing unsettled.
UPDATE replica SET published_ms = watermark_ms WHERE watermark_ms < 9223372036854775807;

-- Replicas of the release before live by this column, and take others for gone by it. It only tells them whether a
-- lease has ended. The migration after the next release may drop it.
ALTER TABLE replica ALTER COLUMN lease_until SET DEFAULT 'infinity';
