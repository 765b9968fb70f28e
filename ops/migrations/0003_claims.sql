-- A claim may name nobody: then its payment was certainly not charged, and whoever adopts it is free to choose.
-- Each change of its processor is counted, so that one that arrives late applies no more. The epoch is that of the
-- registration which wrote the claim last: a replica knows by it what this run of its own has written.
ALTER TABLE claim ALTER COLUMN processor DROP NOT NULL;
ALTER TABLE claim ADD COLUMN moves integer NOT NULL DEFAULT 0, ADD COLUMN epoch bigint NOT NULL DEFAULT 0;

-- What its owner tells readers of a claim that does not settle by itself: unknown or stranded, and since when.
ALTER TABLE claim ADD COLUMN state text, ADD COLUMN state_since_ms bigint;

-- Payments that ended without a charge, for an operator. Nobody drives them.
CREATE TABLE closed (
    correlation_id uuid PRIMARY KEY,
    state text NOT NULL,
    processor text NOT NULL,
    attempts integer NOT NULL,
    closed_at_ms bigint NOT NULL
);

-- Charges of payments that are settled otherwise: with another processor, instant or amount. Each is an incident.
CREATE TABLE dispute (
    correlation_id uuid NOT NULL,
    processor text NOT NULL,
    requested_at_ms bigint NOT NULL,
    amount_cents bigint NOT NULL,
    currency text NOT NULL,
    found_at_ms bigint NOT NULL,
    PRIMARY KEY (correlation_id, processor, requested_at_ms)
);
