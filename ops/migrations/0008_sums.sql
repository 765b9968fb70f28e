-- What was charged, added up by instant: in spans of 5 s, of 100 of those, and of 100 of those, so that a summary reads
-- few rows, however many settlements there are and however long it took to make them.
CREATE TABLE settlement_sum (
    width_ms bigint NOT NULL,
    from_ms bigint NOT NULL,
    processor text NOT NULL,
    currency text NOT NULL,
    -- By whom the settlements were written: replicas that commit at the same time do not wait for each other.
    slot integer NOT NULL,
    requests numeric NOT NULL,
    amount_minor numeric NOT NULL,
    -- None of the settlements was answered later.
    answered_at_ms bigint NOT NULL,
    PRIMARY KEY (width_ms, from_ms, processor, currency, slot)
    -- A sum is updated with each batch. No column of an index changes, so that a page with room takes the new version.
) WITH (fillfactor = 80);

-- The spans that an instant lies in. `mod` is negative before 1970.
CREATE FUNCTION spans_of(at_ms bigint) RETURNS TABLE (width_ms bigint, from_ms bigint) LANGUAGE sql IMMUTABLE AS $$
    SELECT width, at_ms - mod(mod(at_ms, width) + width, width)
    FROM (VALUES (5000::bigint), (500000), (50000000)) AS widths (width)
$$;

-- Adds settlements that are written to the sums, or takes those that are deleted from them: the same statement, whoever
-- runs it, so that the two never differ. All lock sums in one order.
CREATE FUNCTION keep_sums() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO settlement_sum AS s
    SELECT
        width_ms, from_ms, processor, currency, pg_backend_pid() % 64,
        TG_ARGV[0]::integer * count(*), TG_ARGV[0]::integer * sum(amount_cents), max(answered_at_ms)
    FROM changed CROSS JOIN LATERAL spans_of(requested_at_ms)
    GROUP BY width_ms, from_ms, processor, currency
    ORDER BY width_ms, from_ms, processor, currency
    ON CONFLICT (width_ms, from_ms, processor, currency, slot) DO UPDATE SET
        requests = s.requests + excluded.requests,
        amount_minor = s.amount_minor + excluded.amount_minor,
        answered_at_ms = greatest(s.answered_at_ms, excluded.answered_at_ms);
    RETURN NULL;
END
$$;

CREATE FUNCTION empty_sums() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE settlement_sum;
    RETURN NULL;
END
$$;

-- Settlements wait, in the replicas, from here until the sums of those that exist are written.
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

-- What the sums have to be.
CREATE VIEW true_sum AS
SELECT
    width_ms, from_ms, processor, currency, count(*) AS requests, sum(amount_cents) AS amount_minor,
    max(answered_at_ms) AS answered_at_ms
FROM settlement CROSS JOIN LATERAL spans_of(requested_at_ms)
GROUP BY width_ms, from_ms, processor, currency;

INSERT INTO settlement_sum
SELECT width_ms, from_ms, processor, currency, 0, requests, amount_minor, answered_at_ms FROM true_sum;

-- Sums that differ from their settlements: none, ever.
CREATE VIEW wrong_sum AS
SELECT
    width_ms, from_ms, processor, currency, s.requests, t.requests AS true_requests,
    s.amount_minor, t.amount_minor AS true_amount_minor
FROM true_sum AS t FULL JOIN (
    SELECT
        width_ms, from_ms, processor, currency, sum(requests) AS requests, sum(amount_minor) AS amount_minor,
        max(answered_at_ms) AS answered_at_ms
    FROM settlement_sum GROUP BY width_ms, from_ms, processor, currency
) AS s USING (width_ms, from_ms, processor, currency)
WHERE (coalesce(t.requests, 0), coalesce(t.amount_minor, 0)) IS DISTINCT FROM (s.requests, s.amount_minor)
    OR t.answered_at_ms > s.answered_at_ms;
