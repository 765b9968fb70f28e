-- Every statement by which a replica uses Postgres. Tables are described in ops/migrations. Parameters that hold
-- several rows are JSON arrays of objects whose keys are columns. An amount is in whole minor units of its currency.
-- Its columns are called amount_cents from the time when all currencies had cents; statements give them as
-- amount_minor. No statement writes a table twice, locks a table or takes an advisory lock, so that tables can be
-- distributed by the id; docs/portability.md tells what else other servers lack. Arrays of ids make sure that rows are
-- found by their ids, however few rows the tables held when the plan was made. An owner that is compared as one that
-- may be NULL keeps the planner from the index of owners. What several replicas may write is sorted by id, so that they
-- lock it in one order.

-- name: fence
-- Gives a row where the latest registration under a name has this epoch, and keeps it the latest until the transaction
-- ends. Each batch begins so. The statements behind it check the epoch again, and see what was committed while this one
-- waited. A later registration, a purge or a renumbering of the feed waits for the batch, or the batch for it. Fails on
-- another timeline than that of the registration. Gives the mark under which the batch is written, and the number of
-- its transaction, which the lock leaves in the row, where `identity` finds it.
SELECT epoch, mark, pg_current_xact_id()::text::bigint AS transaction FROM replica
WHERE name = %(replica)s AND epoch = %(epoch)s AND CASE
    WHEN %(timeline)s IN ('', left(pg_walfile_name(pg_current_wal_flush_lsn()), 8)) THEN true ELSE refuse_timeline()
END FOR SHARE

-- name: write_moves
-- Changes which processors claims name. A move applies only forwards; one whose earlier try has applied counts as
-- applied. Gives the payments whose moves hold now.
WITH moving AS (
    SELECT m.* FROM replica AS r CROSS JOIN json_to_recordset(%(moves)s::json)
        AS m (correlation_id uuid, processor text, attempts integer, moves integer)
    WHERE r.name = %(replica)s AND r.epoch = %(epoch)s
)
UPDATE claim
SET processor = m.processor, attempts = m.attempts, moves = m.moves, state = NULL, state_since_ms = NULL
FROM moving AS m
WHERE claim.correlation_id = ANY (ARRAY(SELECT correlation_id FROM moving))
    AND claim.correlation_id = m.correlation_id AND claim.owner IS NOT DISTINCT FROM %(replica)s
    AND (claim.moves < m.moves OR claim.moves = m.moves AND claim.processor IS NOT DISTINCT FROM m.processor)
RETURNING claim.correlation_id

-- name: write_claims
-- Writes payments that are new, each with its claim. Gives those that had a row already.
WITH offered AS (
    SELECT DISTINCT ON (correlation_id) o.* FROM replica AS r CROSS JOIN json_to_recordset(%(claims)s::json)
        AS o (correlation_id uuid, amount_minor bigint, currency text, accepted_at_ms bigint, processor text)
    WHERE r.name = %(replica)s AND r.epoch = %(epoch)s
), inserted AS (
    INSERT INTO payment (correlation_id, amount_cents, currency, accepted_at_ms)
    SELECT correlation_id, amount_minor, currency, accepted_at_ms FROM offered ORDER BY correlation_id
    ON CONFLICT DO NOTHING RETURNING correlation_id
), claimed AS (
    INSERT INTO claim (correlation_id, processor, owner, epoch)
    SELECT correlation_id, processor, %(replica)s, %(epoch)s FROM offered JOIN inserted USING (correlation_id)
)
SELECT correlation_id FROM offered WHERE correlation_id NOT IN (SELECT correlation_id FROM inserted)

-- name: settle
-- Books charges of payments that have a claim, and deletes it: only the transaction that deletes a claim can settle its
-- payment (docs/decisions/0006-partitions.md). All get one number in the feed, that of `next_end_number`. Gives how
-- many were booked; the others are left to `book_unclaimed`.
WITH settled AS (
    SELECT DISTINCT ON (correlation_id) s.* FROM replica AS r CROSS JOIN json_to_recordset(%(settlements)s::json) AS s (
        correlation_id uuid, amount_minor bigint, currency text,
        processor text, requested_at_ms bigint, attempts integer, answered_at_ms bigint
    )
    WHERE r.name = %(replica)s AND r.epoch = %(epoch)s
), released AS (
    DELETE FROM claim WHERE correlation_id = ANY (ARRAY(SELECT correlation_id FROM settled)) RETURNING correlation_id
), booked AS (
    INSERT INTO settlement
        (correlation_id, processor, amount_cents, currency, requested_at_ms, attempts, answered_at_ms, end_number)
    SELECT correlation_id, processor, amount_minor, currency, requested_at_ms, attempts, answered_at_ms,
        (SELECT feed_offset + pg_current_xact_id()::text::bigint FROM gateway WHERE only_row)
    FROM settled JOIN released USING (correlation_id) ORDER BY correlation_id
    ON CONFLICT DO NOTHING RETURNING correlation_id
)
SELECT count(*) FROM booked

-- name: archived_payments
-- Finds the payments that are settled and archived. No other one is archived before the transaction ends.
SELECT correlation_id FROM payment
WHERE correlation_id = ANY (%(correlation_ids)s) AND is_archived(correlation_id, accepted_at_ms)

-- name: restore_payments
-- Writes the payments of charges and ends without a claim anew, if Postgres has lost their rows.
INSERT INTO payment (correlation_id, amount_cents, currency, accepted_at_ms)
SELECT DISTINCT ON (correlation_id) correlation_id, amount_minor, currency, accepted_at_ms
FROM replica AS r CROSS JOIN json_to_recordset(%(payments)s::json)
    AS p (correlation_id uuid, amount_minor bigint, currency text, accepted_at_ms bigint)
WHERE r.name = %(replica)s AND r.epoch = %(epoch)s ORDER BY correlation_id
ON CONFLICT DO NOTHING

-- name: lock_payments
-- Lets nobody else settle or end a payment without its claim, or take it up again, until the transaction ends.
SELECT correlation_id FROM payment WHERE correlation_id = ANY (%(correlation_ids)s) ORDER BY correlation_id FOR UPDATE

-- name: release_claims
-- Deletes claims of any replica, and so waits for transactions that settle payments with them now.
DELETE FROM claim USING replica AS r
WHERE correlation_id = ANY (%(correlation_ids)s) AND r.name = %(replica)s AND r.epoch = %(epoch)s

-- name: book_unclaimed
-- Books charges of payments that are locked, have no claim and are not settled, and ends what was closed.
WITH settled AS (
    SELECT DISTINCT ON (correlation_id) s.* FROM replica AS r CROSS JOIN json_to_recordset(%(settlements)s::json) AS s (
        correlation_id uuid, amount_minor bigint, currency text,
        processor text, requested_at_ms bigint, attempts integer, answered_at_ms bigint
    )
    WHERE r.name = %(replica)s AND r.epoch = %(epoch)s
), booked AS (
    INSERT INTO settlement
        (correlation_id, processor, amount_cents, currency, requested_at_ms, attempts, answered_at_ms, end_number)
    SELECT correlation_id, processor, amount_minor, currency, requested_at_ms, attempts, answered_at_ms,
        (SELECT feed_offset + pg_current_xact_id()::text::bigint FROM gateway WHERE only_row)
    FROM settled
    WHERE NOT EXISTS (SELECT FROM settlement AS s WHERE s.correlation_id = settled.correlation_id OFFSET 0)
    ORDER BY correlation_id
    ON CONFLICT DO NOTHING RETURNING correlation_id
)
DELETE FROM closed WHERE correlation_id = ANY (ARRAY(SELECT correlation_id FROM booked))

-- name: hold_off_purge
-- Keeps purges from forgetting anything until the transaction ends; for transactions that have no fence.
SELECT generation FROM gateway FOR SHARE

-- name: compare_settlements
-- Compares charges with those that are booked under their ids by now. Keeps those that differ, or that cannot be
-- compared since their payments are archived, as disputes, each once, and gives the ids of the new ones. It needs no
-- fence: a second charge has to be recorded, whichever replica has found it.
WITH found AS (
    SELECT o.* FROM json_to_recordset(%(settlements)s::json) AS o (
        correlation_id uuid, amount_minor bigint, currency text, processor text, requested_at_ms bigint
    ) LEFT JOIN settlement AS s USING (correlation_id)
    WHERE correlation_id = ANY (%(archived)s) OR (s.processor, s.requested_at_ms, s.amount_cents, s.currency)
        <> (o.processor, o.requested_at_ms, o.amount_minor, o.currency)
), kept AS (
    INSERT INTO dispute (correlation_id, processor, requested_at_ms, amount_cents, currency, found_at_ms)
    SELECT
        correlation_id, processor, requested_at_ms, amount_minor, currency,
        extract(epoch FROM clock_timestamp()) * 1000
    FROM found ORDER BY correlation_id
    ON CONFLICT DO NOTHING RETURNING correlation_id
)
SELECT DISTINCT correlation_id FROM kept

-- name: release_own_claims
-- Deletes claims of this replica.
DELETE FROM claim USING replica AS r
WHERE correlation_id = ANY (%(correlation_ids)s) AND owner IS NOT DISTINCT FROM r.name AND r.name = %(replica)s AND r.epoch = %(epoch)s

-- name: write_closings
-- Writes which payments end without a charge: those that are locked, that nobody drives and that are not settled.
INSERT INTO closed (correlation_id, state, processor, attempts, closed_at_ms)
SELECT e.* FROM replica AS r CROSS JOIN json_to_recordset(%(closings)s::json)
    AS e (correlation_id uuid, state text, processor text, attempts integer, closed_at_ms bigint)
WHERE r.name = %(replica)s AND r.epoch = %(epoch)s
    AND NOT EXISTS (SELECT FROM settlement AS s WHERE s.correlation_id = e.correlation_id OFFSET 0)
    AND NOT EXISTS (SELECT FROM claim AS c WHERE c.correlation_id = e.correlation_id OFFSET 0)
ORDER BY e.correlation_id
ON CONFLICT DO NOTHING

-- name: write_marks
-- Writes the marks by which readers learn about payments that are not settled yet.
WITH marking AS (
    SELECT m.* FROM replica AS r CROSS JOIN json_to_recordset(%(marks)s::json)
        AS m (correlation_id uuid, state text, since_ms bigint)
    WHERE r.name = %(replica)s AND r.epoch = %(epoch)s
)
UPDATE claim SET state = m.state, state_since_ms = CASE WHEN m.state IS NOT NULL THEN m.since_ms END
FROM marking AS m
WHERE claim.correlation_id = ANY (ARRAY(SELECT correlation_id FROM marking))
    AND claim.correlation_id = m.correlation_id AND claim.owner IS NOT DISTINCT FROM %(replica)s

-- name: known_payments
-- Reads payments that had a row already, each with its claim if it has one: who drives it, the processor that it names,
-- the registration that wrote it, and the watermark of its owner.
SELECT
    correlation_id, amount_cents AS amount_minor, currency, accepted_at_ms,
    owner, processor, attempts, moves, c.epoch, watermark_ms
FROM payment LEFT JOIN claim AS c USING (correlation_id) LEFT JOIN replica ON name = owner
WHERE correlation_id = ANY (%(correlation_ids)s)

-- name: report_conflicts
-- Keeps amounts that were offered under the id of another payment, each once.
INSERT INTO conflict (correlation_id, amount_cents, currency, accepted_at_ms)
SELECT * FROM json_to_recordset(%(payments)s::json)
    AS p (correlation_id uuid, amount_minor bigint, currency text, accepted_at_ms bigint)
ON CONFLICT DO NOTHING

-- name: latest_payments
-- Reads the payments that were charged last on any replica, the latest last, stamped with the time of their charge.
SELECT * FROM (
    SELECT correlation_id, amount_cents AS amount_minor, currency, requested_at_ms AS accepted_at_ms
    FROM settlement ORDER BY requested_at_ms DESC LIMIT %(payments_max)s
) AS latest ORDER BY accepted_at_ms

-- name: payment
-- Reads one payment with its claim, its settlement or its end without one, and the other amounts that were offered
-- under its id. Where nothing else of it is left, it is settled and archived.
SELECT
    p.correlation_id, p.amount_cents AS amount_minor, p.currency, p.accepted_at_ms, c.owner, c.state AS marked,
    coalesce(s.processor, d.processor, c.processor) AS processor, coalesce(s.attempts, d.attempts) AS attempts,
    s.requested_at_ms, s.answered_at_ms, s.amount_cents AS settled_minor, s.currency AS settled_currency,
    d.state AS ended, d.closed_at_ms,
    coalesce(c.correlation_id, s.correlation_id, d.correlation_id) IS NULL
        AND EXISTS (SELECT FROM archive WHERE to_ms > p.accepted_at_ms - 3600000) AS archived, ARRAY(
        SELECT json_build_object('minor', amount_cents, 'currency', currency)
        FROM conflict WHERE correlation_id = p.correlation_id ORDER BY accepted_at_ms
    ) AS conflicting_amounts
FROM payment AS p LEFT JOIN claim AS c USING (correlation_id) LEFT JOIN settlement AS s USING (correlation_id)
LEFT JOIN closed AS d USING (correlation_id) WHERE p.correlation_id = %(correlation_id)s

-- name: absence
-- Tells whether a payment has a row, and names all other replicas that may hold a payment without one: those that were
-- ever registered, except those that have left and hold nothing.
SELECT EXISTS (SELECT FROM payment WHERE correlation_id = %(correlation_id)s) AS recorded, ARRAY(
    SELECT name FROM replica
    WHERE name <> %(replica)s AND (left_epoch >= epoch AND emptied_beats = beats) IS NOT TRUE
) AS others

-- name: settled_payments
-- Reads settled payments behind a position, by the instant of their charge.
SELECT
    p.correlation_id, p.amount_cents AS amount_minor, p.currency, p.accepted_at_ms, NULL AS owner, NULL AS marked,
    s.processor, s.attempts, s.requested_at_ms, s.answered_at_ms, s.amount_cents AS settled_minor, s.currency AS settled_currency,
    NULL AS ended, NULL AS closed_at_ms, ARRAY[]::json[] AS conflicting_amounts
FROM settlement AS s JOIN payment AS p USING (correlation_id)
WHERE (s.requested_at_ms, s.correlation_id) > (%(after_ms)s, %(after_id)s)
ORDER BY s.requested_at_ms, s.correlation_id LIMIT %(payments_max)s

-- name: open_payments
-- Reads payments that some replica drives, behind a position, by the instant at which they were accepted: those whose
-- rows are marked with the given state, or with none. Payments are found by key, so that the cost depends on the work
-- that is left, and not on the length of the history.
SELECT
    p.correlation_id, p.amount_cents AS amount_minor, p.currency, p.accepted_at_ms, c.owner, c.state AS marked,
    c.processor, NULL AS attempts, NULL AS requested_at_ms, NULL AS answered_at_ms, NULL AS settled_minor, NULL AS settled_currency,
    NULL AS ended, NULL AS closed_at_ms, ARRAY[]::json[] AS conflicting_amounts
FROM claim AS c CROSS JOIN LATERAL (SELECT * FROM payment WHERE correlation_id = c.correlation_id OFFSET 0) AS p
WHERE c.state IS NOT DISTINCT FROM %(state)s AND (p.accepted_at_ms, p.correlation_id) > (%(after_ms)s, %(after_id)s)
ORDER BY p.accepted_at_ms, p.correlation_id LIMIT %(payments_max)s

-- name: closed_payments
-- Reads payments that ended without a charge, behind a position, by the instant at which they were accepted. Payments
-- are found by key, as in `open_payments`.
SELECT
    p.correlation_id, p.amount_cents AS amount_minor, p.currency, p.accepted_at_ms, NULL AS owner, NULL AS marked,
    d.processor, d.attempts, NULL AS requested_at_ms, NULL AS answered_at_ms, NULL AS settled_minor, NULL AS settled_currency,
    d.state AS ended, d.closed_at_ms, ARRAY[]::json[] AS conflicting_amounts
FROM closed AS d CROSS JOIN LATERAL (SELECT * FROM payment WHERE correlation_id = d.correlation_id OFFSET 0) AS p
WHERE d.state = %(state)s
    AND NOT EXISTS (SELECT FROM settlement AS s WHERE s.correlation_id = d.correlation_id OFFSET 0)
    AND (p.accepted_at_ms, p.correlation_id) > (%(after_ms)s, %(after_id)s)
ORDER BY p.accepted_at_ms, p.correlation_id LIMIT %(payments_max)s

-- name: summary
-- Adds up, by processor and currency, the charges stamped in the spans of a window and answered until an instant, and
-- counts those that were answered later. Wide spans have sums. Where one of them holds a later answer, the settlements
-- of its narrowest spans with such answers are read, and the later ones are subtracted. Spans of one millisecond are
-- edges of the window, whose settlements are read. Each part is found by its index, whatever the planner thinks of the
-- numbers of rows. One more row, without a processor, tells two things. First, how far the charges are complete: the
-- lowest watermark of the replicas that have not left, or that have left claims, but no more than was ever published,
-- since a replica that joins stamps nothing below that. Second, whether an edge of the window lies in an archived span,
-- which has sums and no settlements any more. Claims that name no processor count too: in a Postgres that was restored
-- from an earlier state they may have named a processor, and their adopter has the watermark of their owner for a moment.
WITH RECURSIVE final AS (
    SELECT least(
        min(watermark_ms) FILTER (WHERE left_epoch < epoch OR EXISTS (SELECT FROM claim WHERE owner = r.name)),
        max(published_ms)
    ) AS before_ms FROM replica AS r
), spans AS (
    SELECT * FROM json_to_recordset(%(spans)s::json) AS s (width_ms bigint, from_ms bigint, to_ms bigint)
), edges AS (
    SELECT s.*, answered_at_ms > %(answered_by_ms)s AS is_later FROM spans AS w CROSS JOIN LATERAL (
        SELECT processor, currency, amount_cents, answered_at_ms FROM settlement
        WHERE requested_at_ms BETWEEN w.from_ms AND w.to_ms OFFSET 0
    ) AS s WHERE w.width_ms = 1
), sums AS (
    SELECT s.* FROM spans AS w CROSS JOIN LATERAL (
        SELECT * FROM settlement_sum WHERE width_ms = w.width_ms AND from_ms BETWEEN w.from_ms AND w.to_ms OFFSET 0
    ) AS s
), later (width_ms, from_ms) AS (
    SELECT width_ms, from_ms FROM sums WHERE answered_at_ms > %(answered_by_ms)s
    UNION
    SELECT s.* FROM later AS w CROSS JOIN LATERAL (
        SELECT width_ms, from_ms FROM settlement_sum
        WHERE width_ms = w.width_ms / 100 AND from_ms BETWEEN w.from_ms AND w.from_ms + w.width_ms - 1
            AND answered_at_ms > %(answered_by_ms)s OFFSET 0
    ) AS s
), parts (processor, currency, requests, amount_minor, left_out) AS (
    SELECT processor, currency, sum(requests), sum(amount_minor), 0 FROM sums GROUP BY processor, currency
    UNION ALL
    SELECT processor, currency, -count(*), -sum(amount_cents), count(*) FROM later AS w CROSS JOIN LATERAL (
        SELECT processor, currency, amount_cents FROM settlement
        WHERE requested_at_ms BETWEEN w.from_ms AND w.from_ms + w.width_ms - 1
            AND answered_at_ms > %(answered_by_ms)s OFFSET 0
    ) AS s WHERE w.width_ms = 5000 GROUP BY processor, currency
    UNION ALL
    SELECT
        processor, currency, count(*) FILTER (WHERE NOT is_later),
        coalesce(sum(amount_cents) FILTER (WHERE NOT is_later), 0), count(*) FILTER (WHERE is_later)
    FROM edges GROUP BY processor, currency
)
SELECT
    processor, currency, sum(requests) AS requests, sum(amount_minor) AS amount_minor, sum(left_out) AS left_out,
    NULL::bigint AS final_before_ms, NULL::boolean AS is_cut
FROM parts GROUP BY processor, currency
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, before_ms, EXISTS (
    SELECT FROM spans AS w JOIN archive AS a ON w.from_ms < a.to_ms AND w.to_ms >= a.from_ms CROSS JOIN LATERAL (
        SELECT FROM settlement_sum WHERE width_ms = 5000
            AND from_ms BETWEEN greatest(w.from_ms, a.from_ms) - 4999 AND least(w.to_ms, a.to_ms - 1) LIMIT 1
    ) AS s
    WHERE w.width_ms = 1
) FROM final

-- name: watermarks
-- Tells how far the charges of all replicas are complete, by their stamps and by their answers. A charge that was
-- answered and is not recorded still has its claim, since nothing is sent without one and it is deleted with the
-- settlement: a replica without claims need not be waited for. Claims that name no processor count as in `summary`.
SELECT
    min(watermark_ms) AS stamp_ms,
    min(answered_ms) FILTER (WHERE EXISTS (SELECT FROM claim WHERE owner = r.name)) AS answer_ms
FROM replica AS r
WHERE left_epoch < epoch OR EXISTS (SELECT FROM claim WHERE owner = r.name)

-- name: lost_answers
-- Tells whether a claim that names a processor was written by another registration than the one that drives it, and its
-- owner may have a charge stamped up to an instant: the replica that wrote the claim may have had the answer.
SELECT EXISTS (
    SELECT FROM replica AS r JOIN claim AS c ON c.owner = r.name
    WHERE r.watermark_ms <= %(to_ms)s AND c.epoch < r.epoch AND c.processor IS NOT NULL
)

-- name: feed_bounds
-- Tells how far the feed can be read: ends below a number are complete, since no transaction that writes one of them
-- still runs. Numbers from another one on were not given yet. Both hold only in the history that the feed is noted for.
SELECT
    feed_id, feed_history = database_history() AS is_noted,
    feed_offset + pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS complete_below,
    feed_offset + pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS given_below,
    archived_number, archived_id
FROM gateway

-- name: feed
-- Reads ends from behind a place up to a number, in the order of their numbers, and the last purge among them. An end
-- without a charge is left out if the payment is settled by now. Each part reads no more of its index than it gives.
(
    SELECT
        end_number AS number, correlation_id, 'settled' AS kind, amount_cents AS amount_minor, currency, processor,
        requested_at_ms, CASE answered_at_ms WHEN 0 THEN requested_at_ms ELSE answered_at_ms END AS at_ms
    FROM settlement
    WHERE (end_number, correlation_id) > (%(after_number)s, %(after_id)s) AND end_number < %(below)s
    ORDER BY end_number, correlation_id LIMIT %(events_max)s
) UNION ALL (
    SELECT
        d.end_number, d.correlation_id, d.state, p.amount_cents, p.currency, d.processor, NULL, d.closed_at_ms
    FROM closed AS d CROSS JOIN LATERAL (SELECT * FROM payment WHERE correlation_id = d.correlation_id OFFSET 0) AS p
    WHERE (d.end_number, d.correlation_id) > (%(after_number)s, %(after_id)s) AND d.end_number < %(below)s
        AND NOT EXISTS (SELECT FROM settlement AS s WHERE s.correlation_id = d.correlation_id OFFSET 0)
    ORDER BY d.end_number, d.correlation_id LIMIT %(events_max)s
) UNION ALL (
    SELECT purge_number, %(purge_id)s, 'purged', NULL, NULL, NULL, NULL, purged_at_ms FROM gateway
    WHERE (purge_number, %(purge_id)s) > (%(after_number)s, %(after_id)s) AND purge_number < %(below)s
)
ORDER BY number, correlation_id LIMIT %(events_max)s

-- name: newest_end
-- Finds the place of the last event below a number, with one step in each index, or of the last one that was archived.
(
    SELECT end_number AS number, correlation_id FROM settlement WHERE end_number < %(below)s
    ORDER BY end_number DESC, correlation_id DESC LIMIT 1
) UNION ALL (
    SELECT end_number, correlation_id FROM closed WHERE end_number < %(below)s
    ORDER BY end_number DESC, correlation_id DESC LIMIT 1
) UNION ALL (
    SELECT purge_number, %(purge_id)s FROM gateway WHERE purge_number < %(below)s
) UNION ALL (
    SELECT archived_number, archived_id FROM gateway WHERE archived_number >= 0
)
ORDER BY number DESC, correlation_id DESC LIMIT 1

-- name: is_feed_noted
-- Tells whether the numbers of the feed are of this history of the database.
SELECT feed_history = database_history() FROM gateway

-- name: renumber_feed
-- Begins the numbers anew, above all that were given in any history of the database.
UPDATE gateway SET
    feed_history = database_history(),
    feed_offset = greatest(
        floor(extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
        (SELECT max(end_number) + 1 FROM settlement), (SELECT max(end_number) + 1 FROM closed), purge_number + 1
    ) - pg_snapshot_xmin(pg_current_snapshot())::text::bigint

-- name: identity
-- Tells which Postgres this is: the identifier of its data, its timeline, how far its log was ever made durable. Tells
-- what the row of the replica shows: the position and the mark that the replica noted last, which transaction wrote
-- last under that mark, whether the given transaction was committed, and whether replication was synchronous. Tells
-- what is known of this history.
SELECT
    system_identifier::text AS system_id,
    ('x' || left(pg_walfile_name(flushed), 8))::bit(32)::integer AS timeline,
    (flushed - '0/0')::bigint AS position,
    coalesce(log_position, forgotten_position, 0) AS noted_position, coalesce(mark, forgotten_mark, 0) AS mark,
    coalesce(nullif(r.xmax::text::bigint, 0), locked_by, 0) AS locked_by,
    CASE WHEN %(transaction)s BETWEEN 3 AND pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1
        THEN coalesce(pg_xact_status(%(transaction)s::text::xid8) = 'committed', false) ELSE false END AS is_committed,
    coalesce(is_synchronous, false) AS is_synchronous,
    coalesce(established_history = database_history(), false) AS is_established,
    forgot_history, forgot_at_ms
FROM pg_control_system() CROSS JOIN pg_current_wal_flush_lsn() AS flushed
LEFT JOIN gateway ON true LEFT JOIN replica AS r ON name = %(replica)s

-- name: confirm
-- Notes that a replica has found all commits that it had been told of. This counts as a heartbeat. The mark stays.
UPDATE replica SET confirmed_history = database_history(), beats = beats + 1,
    locked_by = coalesce(nullif(xmax::text::bigint, 0), locked_by)
WHERE name = %(replica)s AND database_history() = %(history)s

-- name: establish
-- Notes that it is decided whether this history lacks anything, and if it does, since when that is known.
UPDATE gateway SET established_history = database_history(),
    forgot_history = CASE WHEN %(forgot_at_ms)s::bigint IS NULL THEN forgot_history ELSE database_history() END,
    forgot_at_ms = greatest(forgot_at_ms, %(forgot_at_ms)s::bigint)
WHERE database_history() = %(history)s

-- name: register
-- Takes the name of a replica with a lease under a new epoch, unless another instance has it and has not left. Gives
-- the generation of the gateway, so that the replica can tell whether what it holds is older than the last purge. The
-- epoch is NULL where the name was not taken; there is no row where this is another history than is expected. A
-- purge that is being finished is waited for, and so is `forget_replicas`, which may have forgotten the name. A
-- heartbeat of whoever had the name may have come last: its position and its mark are not taken back.
WITH taken AS (
    INSERT INTO replica AS r
        (name, instance, epoch, generation, watermark_ms, published_ms, clock_ms, system_clock_ms, answered_ms, log_position,
        partitions_epoch, mark, is_synchronous, confirmed_history)
    SELECT %(replica)s, %(instance)s, forgotten_epoch + 1, %(generation)s, %(clock_ms)s, %(clock_ms)s, %(clock_ms)s,
        %(system_ms)s, %(clock_ms)s, pg_current_wal_flush_lsn() - '0/0', forgotten_epoch + 1, %(mark)s, is_commit_synchronous(), database_history()
    FROM gateway WHERE coalesce(%(history)s, database_history()) = database_history() FOR SHARE
    ON CONFLICT (name) DO UPDATE SET instance = excluded.instance, epoch = r.epoch + 1, emptied_beats = NULL,
        partitions_epoch = r.epoch + 1,
        generation = excluded.generation, lease_until = 'infinity',
        watermark_ms = least(r.watermark_ms, excluded.watermark_ms),
        answered_ms = least(r.watermark_ms, excluded.watermark_ms),
        published_ms = greatest(r.published_ms, least(r.watermark_ms, excluded.watermark_ms)),
        clock_ms = excluded.clock_ms, system_clock_ms = excluded.system_clock_ms,
        log_position = pg_current_wal_flush_lsn() - '0/0', mark = greatest(excluded.mark, r.mark + %(rise)s),
        locked_by = 0, is_synchronous = excluded.is_synchronous, confirmed_history = excluded.confirmed_history
    WHERE r.instance IS NULL OR r.instance = excluded.instance OR r.left_epoch >= r.epoch
    RETURNING epoch, watermark_ms, published_ms, mark
)
SELECT taken.epoch, gateway.generation, taken.watermark_ms, taken.published_ms, taken.mark
FROM gateway LEFT JOIN taken ON true
WHERE coalesce(%(history)s, database_history()) = database_history()

-- name: holder
-- Reads what is published of another process that has the name of a replica and has not left: one of another instance
-- or, where this process has registered under an epoch, one that has registered later.
SELECT name, epoch, concat_ws(' ', beats, lease_until) AS beats, generation, false AS has_left,
    published_ms, clock_ms, system_clock_ms AS system_ms,
    is_synchronous, coalesce(confirmed_history = database_history(), false) AS has_confirmed
FROM replica WHERE name = %(replica)s AND left_epoch < epoch
    AND CASE %(epoch)s WHEN 0 THEN instance <> %(instance)s ELSE epoch > %(epoch)s END

-- name: beat
-- Renews the lease of a registration by one more beat, and publishes its watermarks and clocks. Gives the generation of
-- the gateway, or no row where the epoch is over, or this is another history than is expected. A beat that is executed
-- late, after a later one, changes nothing.
UPDATE replica SET beats = beats + 1, watermark_ms = %(stamp_ms)s, answered_ms = %(answer_ms)s,
    published_ms = greatest(published_ms, %(stamp_ms)s), clock_ms = %(clock_ms)s, system_clock_ms = %(system_ms)s,
    log_position = pg_current_wal_flush_lsn() - '0/0', mark = %(mark)s, locked_by = 0, is_synchronous = is_commit_synchronous()
WHERE name = %(replica)s AND epoch = %(epoch)s AND left_epoch < epoch AND mark < %(mark)s
    AND coalesce(%(history)s, database_history()) = database_history()
RETURNING (SELECT generation FROM gateway)

-- name: retire
-- Ends the lease of a registration with its last watermark.
UPDATE replica SET left_epoch = epoch, lease_until = '-infinity', watermark_ms = %(stamp_ms)s
WHERE name = %(replica)s AND epoch = %(epoch)s

-- name: note_emptied
-- Notes that an instance which has left holds no payment that Postgres does not have.
UPDATE replica SET emptied_beats = beats, locked_by = coalesce(nullif(xmax::text::bigint, 0), locked_by)
WHERE name = %(replica)s AND left_epoch >= epoch AND (instance IS NULL OR instance = %(instance)s)

-- name: forget_replicas
-- Forgets replicas that have left, hold nothing and have no claims, once they have not published for a while. A living
-- replica has passed what they published, so that nothing which was called final changes. Their epochs stay used.
WITH forgotten AS (
    DELETE FROM replica AS r
    WHERE name <> %(replica)s AND left_epoch >= epoch AND emptied_beats = beats
        AND coalesce(clock_ms, 0) < %(before_ms)s
        AND published_ms < (SELECT max(published_ms) FROM replica WHERE left_epoch < epoch)
        AND NOT EXISTS (SELECT FROM claim WHERE owner = r.name)
    RETURNING epoch, log_position, mark
)
UPDATE gateway SET
    forgotten_epoch = greatest(forgotten_epoch, (SELECT max(epoch) FROM forgotten)),
    forgotten_position = greatest(forgotten_position, (SELECT max(log_position) FROM forgotten)),
    forgotten_mark = greatest(forgotten_mark, (SELECT max(mark) FROM forgotten))
WHERE EXISTS (SELECT FROM forgotten)

-- name: stand_aside
-- Ends the registration under a name, if there is one, and leaves a row by which others know that its replica is gone.
-- Gives no row where another instance has the name and has not left.
INSERT INTO replica AS r (name, epoch, left_epoch, generation, lease_until, watermark_ms)
SELECT %(replica)s, forgotten_epoch + 1, forgotten_epoch + 1, %(generation)s, '-infinity', 9223372036854775807
FROM gateway FOR SHARE
ON CONFLICT (name) DO UPDATE SET epoch = r.epoch + 1, left_epoch = r.epoch + 1, lease_until = '-infinity',
    emptied_beats = NULL
WHERE r.instance IS NULL OR r.instance = %(instance)s OR r.left_epoch >= r.epoch
RETURNING epoch

-- name: others
-- Reads what all other replicas have published. Those of the release before change lease_until with each beat.
SELECT name, epoch, concat_ws(' ', beats, lease_until) AS beats, generation, left_epoch >= epoch AS has_left,
    published_ms, clock_ms, system_clock_ms AS system_ms,
    is_synchronous, coalesce(confirmed_history = database_history(), false) AS has_confirmed
FROM replica WHERE name <> %(replica)s

-- name: expel
-- Ends the leases, and with them the epochs, of replicas that have not beaten since their states were read.
UPDATE replica AS r SET epoch = r.epoch + 1, left_epoch = r.epoch + 1, lease_until = '-infinity',
    locked_by = coalesce(nullif(r.xmax::text::bigint, 0), r.locked_by)
FROM json_to_recordset(%(replicas)s::json) AS seen (name text, epoch bigint, beats text)
WHERE r.name = seen.name AND r.epoch = seen.epoch AND concat_ws(' ', r.beats, r.lease_until) = seen.beats

-- name: fence_adopter
-- Gives a row where the latest registration under a name has this epoch, and lets nobody change it until the
-- transaction ends.
SELECT epoch FROM replica WHERE name = %(replica)s AND epoch = %(epoch)s FOR UPDATE

-- name: fence_left
-- Ends the epochs of replicas that have left claims, so that what they sent before takes no effect any more. Gives
-- their names. Claims that name processors which are left out do not count.
UPDATE replica AS r SET epoch = epoch + 1, left_epoch = epoch + 1,
    locked_by = coalesce(nullif(r.xmax::text::bigint, 0), r.locked_by)
WHERE r.name <> %(replica)s AND left_epoch >= epoch AND EXISTS (
    SELECT FROM claim WHERE owner = r.name AND (processor = ANY (%(leave_out)s::text[])) IS NOT TRUE
)
RETURNING r.name

-- name: adopt
-- Takes over some claims of replicas that have left, whichever are found first, after `fence_left`. If all of their
-- claims name processors which are left out, all of them are read.
WITH taken AS (
    SELECT c.correlation_id, r.watermark_ms
    FROM claim AS c JOIN replica AS r ON c.owner = r.name
    WHERE r.name = ANY (%(left)s) AND (c.processor = ANY (%(leave_out)s::text[])) IS NOT TRUE
    LIMIT %(claims_max)s FOR UPDATE OF c SKIP LOCKED
), mine AS (
    -- The claim was written by no registration of the new owner.
    UPDATE claim SET owner = %(replica)s, epoch = 0 FROM taken
    WHERE claim.correlation_id = ANY (ARRAY(SELECT correlation_id FROM taken))
        AND claim.correlation_id = taken.correlation_id
    RETURNING claim.correlation_id, claim.processor, claim.attempts, claim.moves, taken.watermark_ms
)
SELECT correlation_id, amount_cents AS amount_minor, currency, accepted_at_ms, processor, attempts, moves, watermark_ms
FROM payment JOIN mine USING (correlation_id)
WHERE correlation_id = ANY (ARRAY(SELECT correlation_id FROM taken)) ORDER BY accepted_at_ms, correlation_id

-- name: lower_watermarks
-- Lowers the watermarks of an adopter to those of the former owners, before the adopted claims are visible as its own.
UPDATE replica SET
    watermark_ms = least(watermark_ms, %(watermark_ms)s), answered_ms = least(answered_ms, %(watermark_ms)s)
WHERE name = %(replica)s

-- name: claims
-- Reads unsettled payments of a replica by their ids, from one id on, if they were claimed before an epoch. Where a
-- processor is given, only those that name it are read; those that name a processor which is left out never are. The
-- claims are chosen by themselves: a page that joined all of them would take a second where 300,000 payments wait.
WITH page AS MATERIALIZED (
    SELECT correlation_id, processor, attempts, moves FROM claim
    WHERE owner = %(replica)s AND epoch < %(before_epoch)s AND correlation_id >= %(from_id)s
        AND (%(naming)s::text IS NULL OR processor = %(naming)s)
        AND (processor = ANY (%(leave_out)s::text[])) IS NOT TRUE
    ORDER BY correlation_id LIMIT %(claims_max)s
)
SELECT correlation_id, amount_cents AS amount_minor, currency, accepted_at_ms, processor, attempts, moves
FROM payment JOIN page USING (correlation_id)
WHERE correlation_id = ANY (ARRAY(SELECT correlation_id FROM page)) ORDER BY accepted_at_ms, correlation_id

-- name: ask_resolution
-- Keeps what an operator has found out about a payment, for the replica that drives it.
INSERT INTO resolution (correlation_id, processor, requested_at_ms, asked_at_ms, asked_by)
VALUES (%(correlation_id)s, %(processor)s, %(requested_at_ms)s, %(asked_at_ms)s, %(asked_by)s) RETURNING number

-- name: resolution_answer
-- Reads what became of an operator's finding.
SELECT answer FROM resolution WHERE number = %(number)s

-- name: unanswered_resolutions
-- Reads operators' findings on payments that this replica drives, or that none drives, in their order, behind a number.
SELECT number, correlation_id, r.processor, requested_at_ms
FROM resolution AS r LEFT JOIN claim AS c USING (correlation_id)
WHERE answer IS NULL AND number > %(after)s AND (c.owner IS NULL OR c.owner = %(replica)s)
ORDER BY number LIMIT %(resolutions_max)s

-- name: reopen
-- Takes up a closed payment that is locked as a claim of this replica, and tells how it had ended.
WITH reopened AS (
    DELETE FROM closed USING replica AS r
    WHERE correlation_id = %(correlation_id)s AND r.name = %(replica)s AND r.epoch = %(epoch)s
        AND NOT EXISTS (SELECT FROM settlement AS s WHERE s.correlation_id = closed.correlation_id OFFSET 0)
    RETURNING correlation_id, processor, attempts, state
), claimed AS (
    INSERT INTO claim (correlation_id, processor, owner, attempts, epoch)
    -- Written by no registration, so that it does not pass for the claim of a payment that was never sent.
    SELECT correlation_id, processor, %(replica)s, attempts, 0 FROM reopened
)
SELECT correlation_id, amount_cents AS amount_minor, currency, accepted_at_ms, processor, attempts, 0 AS moves, state
FROM reopened JOIN payment USING (correlation_id)

-- name: answer_resolution
-- Keeps what became of an operator's finding.
UPDATE resolution SET answer = %(answer)s, answered_at_ms = %(answered_at_ms)s, answered_by = %(replica)s
WHERE number = %(number)s

-- name: schema_version
-- Gives the number of the last migration that was applied.
SELECT coalesce(max(version), 0) FROM schema_migration

-- name: last_purge
-- Reads the number and the instant of the last purge.
SELECT generation, purged_at_ms AS at_ms FROM gateway

-- name: finished_purge
-- Reads the number of the last purge that is finished, and the instant of the last one.
SELECT purged_generation AS generation, purged_at_ms AS at_ms FROM gateway

-- name: begin_purge
-- Opens a new generation, and gives its number and its instant.
UPDATE gateway SET generation = generation + 1, purged_at_ms = greatest(purged_at_ms, %(now_ms)s)
RETURNING generation, purged_at_ms AS at_ms

-- name: acknowledge_purge
-- Notes that a replica holds nothing older than a generation, and ends its epoch, so that no earlier batch, however
-- late it arrives, writes what is purged. Gives the new epoch, under which nothing is written.
UPDATE replica SET generation = %(generation)s, epoch = epoch + 1, partitions_epoch = partitions_epoch + 1
WHERE name = %(replica)s
RETURNING epoch

-- name: repeat_purge
-- Notes a finished purge that this Postgres did not know of.
UPDATE gateway SET generation = %(generation)s, purged_generation = %(generation)s, purge_number = next_end_number(),
    purged_at_ms = greatest(purged_at_ms, %(at_ms)s)

-- name: lock_purges
-- Reads the last purge that is finished, and keeps others from finishing one until the transaction ends.
SELECT purged_generation FROM gateway FOR UPDATE

-- name: is_purge_pending
-- Tells whether a purge is not finished, and a replica that has not left still holds something older than it.
SELECT purged_generation < %(generation)s
    AND EXISTS (SELECT FROM replica WHERE generation < %(generation)s AND left_epoch < epoch)
FROM gateway

-- name: lock_replicas
-- Keeps every batch out until the transaction ends, since each begins with `fence`; a batch that waits sees what it
-- commits. The row of `gateway` has to be locked before, for which a registration under a new name waits.
SELECT name FROM replica ORDER BY name FOR UPDATE

-- name: fence_sleepers
-- Ends the epochs of replicas that have left: they may wake up and write batches of payments that are purged now.
UPDATE replica SET epoch = epoch + 1, left_epoch = epoch + 1 WHERE generation < %(generation)s

-- name: find_later
-- Lists, until the transaction ends, the payments that were accepted after a purge's instant.
CREATE TEMPORARY TABLE later ON COMMIT DROP AS SELECT correlation_id FROM payment WHERE accepted_at_ms > %(at_ms)s

-- name: set_later_aside
-- Copies the listed payments, with all that belongs to them.
CREATE TEMPORARY TABLE later_payment ON COMMIT DROP AS SELECT payment.* FROM payment JOIN later USING (correlation_id);
CREATE TEMPORARY TABLE later_claim ON COMMIT DROP AS SELECT claim.* FROM claim JOIN later USING (correlation_id);
CREATE TEMPORARY TABLE later_settlement ON COMMIT DROP AS
SELECT settlement.* FROM settlement JOIN later USING (correlation_id);
CREATE TEMPORARY TABLE later_closed ON COMMIT DROP AS SELECT closed.* FROM closed JOIN later USING (correlation_id);
CREATE TEMPORARY TABLE later_dispute ON COMMIT DROP AS SELECT dispute.* FROM dispute JOIN later USING (correlation_id);
CREATE TEMPORARY TABLE later_conflict ON COMMIT DROP AS SELECT conflict.* FROM conflict JOIN later USING (correlation_id)

-- name: empty_tables
-- Deletes every payment with all that belongs to it, and forgets what was archived.
TRUNCATE payment, claim, settlement, closed, conflict, dispute, resolution, archive, archive_sum

-- name: put_later_back
-- Writes the copies into the tables that were emptied.
INSERT INTO payment SELECT * FROM later_payment;
INSERT INTO claim SELECT * FROM later_claim;
INSERT INTO settlement SELECT * FROM later_settlement;
INSERT INTO closed SELECT * FROM later_closed;
INSERT INTO dispute SELECT * FROM later_dispute;
INSERT INTO conflict SELECT * FROM later_conflict

-- name: finish_purge
-- Notes that a purge is finished, so that no replica empties the tables for it again.
UPDATE gateway SET purged_generation = %(generation)s, purge_number = next_end_number()
