-- What clients asked for. A row is never changed.
CREATE TABLE payment (
    correlation_id uuid PRIMARY KEY,
    amount_cents bigint NOT NULL CHECK (amount_cents > 0),
    accepted_at_ms bigint NOT NULL
);

-- The work that is left: one row per unsettled payment, naming the one processor that may have been charged
-- (written before anything is sent to it) and the replica that drives it.
CREATE TABLE claim (
    correlation_id uuid PRIMARY KEY,
    processor text NOT NULL,
    owner text NOT NULL,
    attempts integer NOT NULL DEFAULT 0
) WITH (fillfactor = 80);
CREATE INDEX claim_owner ON claim (owner);

-- What was charged: one row per payment, for ever. The primary key is what refuses a second charge in the books.
CREATE TABLE settlement (
    correlation_id uuid PRIMARY KEY,
    processor text NOT NULL,
    amount_cents bigint NOT NULL CHECK (amount_cents > 0),
    requested_at_ms bigint NOT NULL,
    attempts integer NOT NULL
);
CREATE INDEX settlement_requested_at ON settlement (requested_at_ms) INCLUDE (processor, amount_cents);

-- Other amounts that were offered under an id. None of them is ever charged.
CREATE TABLE conflict (
    correlation_id uuid NOT NULL,
    amount_cents bigint NOT NULL,
    accepted_at_ms bigint NOT NULL,
    PRIMARY KEY (correlation_id, amount_cents)
);

-- Who is there. A replica drives its claims while its lease lasts; no charge that is missing in settlement
-- bears a stamp older than its watermark.
CREATE TABLE replica (
    name text PRIMARY KEY,
    epoch bigint NOT NULL,
    generation bigint NOT NULL,
    lease_until timestamptz NOT NULL,
    watermark_ms bigint NOT NULL
) WITH (fillfactor = 50);

-- Purges: each begins with a new generation, and is over once purged_generation has reached it.
CREATE TABLE gateway (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    generation bigint NOT NULL DEFAULT 0,
    purged_generation bigint NOT NULL DEFAULT 0
);
INSERT INTO gateway DEFAULT VALUES;
