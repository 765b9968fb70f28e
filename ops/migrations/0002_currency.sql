-- Payments have a currency. All that was stored before is in reais: a constant default is kept once for the whole
-- table, so that no row is written. An amount is in whole minor units of its currency; the columns keep their name, so
-- that replicas of the release before work on meanwhile.
ALTER TABLE payment ADD COLUMN currency text NOT NULL DEFAULT 'BRL';
ALTER TABLE settlement ADD COLUMN currency text NOT NULL DEFAULT 'BRL';
ALTER TABLE conflict ADD COLUMN currency text NOT NULL DEFAULT 'BRL';

-- One amount in two currencies is two different offers.
ALTER TABLE conflict DROP CONSTRAINT conflict_pkey, ADD PRIMARY KEY (correlation_id, amount_cents, currency);

-- Summaries read this index alone. Settlements wait while it is built, in the replicas.
DROP INDEX settlement_requested_at;
CREATE INDEX settlement_requested_at ON settlement (requested_at_ms) INCLUDE (processor, amount_cents, currency);
