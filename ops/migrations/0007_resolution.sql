-- What operators have found out about payments that do not settle by themselves. A row is asked by whichever replica
-- was told, answered by the one that drives the payment, and never deleted but by a purge: it is the trace.
CREATE TABLE resolution (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    correlation_id uuid NOT NULL,
    -- The processor that charged it and its instant; both are NULL where it was not charged.
    processor text,
    requested_at_ms bigint,
    asked_at_ms bigint NOT NULL,
    asked_by text NOT NULL,
    answer text,
    answered_at_ms bigint,
    answered_by text
);
CREATE INDEX resolution_of_payment ON resolution (correlation_id);
CREATE INDEX resolution_open ON resolution (number) WHERE answer IS NULL;

-- Lists of payments in one state, the oldest first.
CREATE INDEX claim_state ON claim (state) WHERE state IS NOT NULL;
