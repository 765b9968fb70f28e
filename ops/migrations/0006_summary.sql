-- When the answer came that a payment was charged, so that a summary tells what was booked when it was asked. What was
-- settled before this was answered long ago: a constant default is kept once for the whole table, so that no row is
-- written.
ALTER TABLE settlement ADD COLUMN answered_at_ms bigint NOT NULL DEFAULT 0;

-- No charge that is missing in settlement was answered before answered_ms. A replica of the release before does not
-- publish it: summaries wait for it in vain, and do not tell as of when they are.
ALTER TABLE replica ADD COLUMN answered_ms bigint NOT NULL DEFAULT 0;

-- Summaries read this index alone. Settlements wait while it is built, in the replicas.
DROP INDEX settlement_requested_at;
CREATE INDEX settlement_requested_at ON settlement (requested_at_ms)
    INCLUDE (processor, amount_cents, currency, answered_at_ms);
