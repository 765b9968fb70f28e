-- Settlements stand in partitions by the instant of their charge, so that old ones can be detached and archived as a whole
-- (ops/archive, docs/decisions/0006-partitions.md). What there is becomes the first partition, which has no bounds: only
-- the catalogue is written, and nothing is read. A partition has the id as its own key, and the partitioned table none:
-- replicas of the release before find a second settlement by the key of the one partition that there is as long as they
-- run. Those of this release need no key for it: only who deletes a payment's claim, or locks the payment, settles it.
DROP VIEW wrong_sum;
DROP VIEW true_sum;
DROP TRIGGER sum_written ON settlement;
DROP TRIGGER sum_deleted ON settlement;
DROP TRIGGER sum_replaced ON settlement;
DROP TRIGGER sum_replacing ON settlement;
DROP TRIGGER sum_truncated ON settlement;
ALTER TABLE settlement RENAME TO settlement_1;
ALTER INDEX settlement_pkey RENAME TO settlement_1_pkey;
ALTER INDEX settlement_requested_at RENAME TO settlement_1_requested_at;
ALTER INDEX settlement_end_number RENAME TO settlement_1_end_number;
CREATE TABLE settlement (LIKE settlement_1 INCLUDING DEFAULTS INCLUDING CONSTRAINTS)
    PARTITION BY RANGE (requested_at_ms);
ALTER TABLE settlement ATTACH PARTITION settlement_1 FOR VALUES FROM (MINVALUE) TO (MAXVALUE);

CREATE TRIGGER sum_written AFTER INSERT ON settlement REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION keep_sums('1');
CREATE TRIGGER sum_deleted AFTER DELETE ON settlement REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION keep_sums('-1');
CREATE TRIGGER sum_replaced AFTER UPDATE ON settlement REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION keep_sums('-1');
CREATE TRIGGER sum_replacing AFTER UPDATE ON settlement REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION keep_sums('1');
CREATE TRIGGER sum_truncated AFTER TRUNCATE ON settlement
    FOR EACH STATEMENT EXECUTE FUNCTION empty_sums();

-- Settlements that are in none of the partitions any more: each row is a span of instants whose charges were detached as
-- one table. A small table, as that of the sums, of replicas, of the gateway and of migrations.
CREATE TABLE archive (
    from_ms bigint PRIMARY KEY,
    -- The first instant behind it. Both are borders of the widest sums.
    to_ms bigint NOT NULL,
    -- The table, until its rows stand in the file and it is dropped.
    table_name text NOT NULL,
    row_count bigint NOT NULL,
    -- The last place in the feed of what it holds.
    end_number bigint NOT NULL,
    end_id uuid NOT NULL,
    detached_at_ms bigint NOT NULL,
    file_name text,
    checksum text,
    dropped_at_ms bigint
);
-- What was charged in an archived span, for the audit of the sums.
CREATE TABLE archive_sum (
    from_ms bigint NOT NULL,
    processor text NOT NULL,
    currency text NOT NULL,
    requests numeric NOT NULL,
    amount_minor numeric NOT NULL,
    PRIMARY KEY (from_ms, processor, currency)
);
-- The place in the feed of the last end that was archived; before all others where none were.
ALTER TABLE gateway
    ADD COLUMN archived_number bigint NOT NULL DEFAULT -1,
    ADD COLUMN archived_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000';
-- The registration under which a replica of this release or a later one has said that it settles by claims.
ALTER TABLE replica ADD COLUMN partitions_epoch bigint NOT NULL DEFAULT 0;

-- Tells whether a payment that has a row is settled and archived: then nothing else of it is left. A charge is stamped
-- after its payment was accepted, by clocks that differ by less than an hour.
CREATE FUNCTION is_archived(id uuid, accepted_at_ms bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM archive WHERE to_ms > $2 - 3600000)
        AND NOT EXISTS (SELECT FROM claim WHERE correlation_id = $1)
        AND NOT EXISTS (SELECT FROM closed WHERE correlation_id = $1)
        AND NOT EXISTS (SELECT FROM settlement WHERE correlation_id = $1)
$$;

-- What the sums have to be, as far as settlements stand here.
CREATE VIEW true_sum AS
SELECT
    width_ms, from_ms, processor, currency, count(*) AS requests, sum(amount_cents) AS amount_minor,
    max(answered_at_ms) AS answered_at_ms
FROM settlement CROSS JOIN LATERAL spans_of(requested_at_ms)
GROUP BY width_ms, from_ms, processor, currency;

-- Sums that differ from their settlements: none, ever. Those within an archived span are compared as one, from its
-- beginning, with what was archived and what has come since.
CREATE VIEW wrong_sum AS
WITH kept AS (
    SELECT width_ms, coalesce(a.from_ms, s.from_ms) AS from_ms, processor, currency, sum(requests) AS requests,
        sum(amount_minor) AS amount_minor, max(answered_at_ms) AS answered_at_ms
    FROM settlement_sum AS s LEFT JOIN archive AS a ON s.from_ms >= a.from_ms AND s.from_ms < a.to_ms
    GROUP BY width_ms, coalesce(a.from_ms, s.from_ms), processor, currency
), parts AS (
    SELECT width_ms, coalesce(a.from_ms, t.from_ms) AS from_ms, processor, currency, requests, amount_minor,
        answered_at_ms
    FROM true_sum AS t LEFT JOIN archive AS a ON t.from_ms >= a.from_ms AND t.from_ms < a.to_ms
    UNION ALL
    SELECT width_ms, s.from_ms, processor, currency, requests, amount_minor, NULL
    FROM archive_sum AS s CROSS JOIN (SELECT width_ms FROM spans_of(0)) AS widths
), true_kept AS (
    SELECT width_ms, from_ms, processor, currency, sum(requests) AS requests, sum(amount_minor) AS amount_minor,
        max(answered_at_ms) AS answered_at_ms
    FROM parts GROUP BY width_ms, from_ms, processor, currency
)
SELECT
    width_ms, from_ms, processor, currency, s.requests, t.requests AS true_requests,
    s.amount_minor, t.amount_minor AS true_amount_minor
FROM true_kept AS t FULL JOIN kept AS s USING (width_ms, from_ms, processor, currency)
WHERE (coalesce(t.requests, 0), coalesce(t.amount_minor, 0)) IS DISTINCT FROM (s.requests, s.amount_minor)
    OR t.answered_at_ms > s.answered_at_ms;

-- What operators have found out is distributed by the id as well.
ALTER TABLE resolution DROP CONSTRAINT resolution_pkey;
ALTER TABLE resolution ADD PRIMARY KEY (correlation_id, number);
DROP INDEX resolution_of_payment;
CREATE INDEX resolution_number ON resolution (number);
