"""Postgres, the record: payments, claims, settlements, replicas (see ops/migrations)."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from psycopg.rows import TupleRow

from actors.adapters.pgold import Line, Pool
from actors.domain.payment import Claim, Move
from actors.domain.payment import Payment, Settlement
from actors.errors import LedgerUnavailableError
from actors.domain.records import (
    Adopted,
    Beat,
    KnownPayment,
    LedgerSummary,
    PaymentRecord,
    ProcessorTotal,
    Registration,
    WriteResult,
)

CONNECTIONS_MAX = 4
"""Of the pool."""
PING_S_MAX = 0.5
ASK_S_MAX = 3.0
"""For one question, with the wait for its connection."""
WRITE_S_MAX = 5.0
"""For one batch. A batch that is given up may be committed all the same; it is harmless to write it again."""

# One statement is one transaction and one round trip. Ids are sorted, so that two replicas that write the same ones
# wait for each other in one order. A settlement takes its amount from the payment, and is not written without one.
# The fence keeps out what an earlier life of this replica has sent and Postgres executes late: a registration waits for
# it, or has ended its epoch.
_WRITE = """
WITH fence AS (
    SELECT epoch FROM replica WHERE name = %s AND epoch = %s FOR SHARE
), offered AS (
    SELECT DISTINCT ON (correlation_id) o.* FROM fence, unnest(%s::uuid[], %s::bigint[], %s::bigint[], %s::text[])
        AS o (correlation_id, amount_cents, accepted_at_ms, processor)
), inserted AS (
    INSERT INTO payment (correlation_id, amount_cents, accepted_at_ms)
    SELECT correlation_id, amount_cents, accepted_at_ms FROM offered ORDER BY correlation_id
    ON CONFLICT DO NOTHING RETURNING correlation_id
), claimed AS (
    INSERT INTO claim (correlation_id, processor, owner)
    SELECT correlation_id, processor, %s FROM offered JOIN inserted USING (correlation_id)
), moved AS (
    UPDATE claim SET processor = m.processor, attempts = m.attempts
    FROM fence, unnest(%s::uuid[], %s::text[], %s::integer[]) AS m (correlation_id, processor, attempts)
    WHERE claim.correlation_id = m.correlation_id AND claim.owner = %s
    RETURNING claim.correlation_id
), settled AS (
    SELECT * FROM unnest(%s::uuid[], %s::text[], %s::bigint[], %s::integer[])
        AS s (correlation_id, processor, requested_at_ms, attempts)
), booked AS (
    INSERT INTO settlement (correlation_id, processor, amount_cents, requested_at_ms, attempts)
    SELECT correlation_id, processor, amount_cents, requested_at_ms, attempts
    FROM settled JOIN payment USING (correlation_id) ORDER BY correlation_id
    ON CONFLICT DO NOTHING
), released AS (
    DELETE FROM claim USING settled WHERE claim.correlation_id = settled.correlation_id
)
SELECT 'fence', NULL FROM fence
UNION ALL SELECT 'inserted', correlation_id FROM inserted UNION ALL SELECT 'moved', correlation_id FROM moved
"""

_KNOWN = """
SELECT correlation_id, amount_cents, accepted_at_ms, owner, processor
FROM payment LEFT JOIN claim USING (correlation_id) WHERE correlation_id = ANY (%s)
"""

_REGISTER = """
INSERT INTO replica AS r (name, epoch, generation, lease_until, watermark_ms)
SELECT %(name)s, 1, %(generation)s, now() + %(lease)s * interval '1 second', %(now_ms)s FROM gateway
ON CONFLICT (name) DO UPDATE SET epoch = r.epoch + 1, generation = excluded.generation,
    lease_until = excluded.lease_until, watermark_ms = least(r.watermark_ms, excluded.watermark_ms)
RETURNING epoch, (SELECT generation FROM gateway), watermark_ms
"""

_BEAT = """
UPDATE replica SET lease_until = now() + %s * interval '1 second', watermark_ms = %s
WHERE name = %s AND epoch = %s RETURNING (SELECT generation FROM gateway)
"""

# A later epoch is what keeps those who are gone from renewing their lease when they wake up.
_ADOPT = """
WITH me AS (
    SELECT name FROM replica WHERE name = %(me)s AND epoch = %(epoch)s FOR UPDATE
), gone AS (
    UPDATE replica AS r SET epoch = epoch + 1, lease_until = '-infinity' FROM me
    WHERE r.name <> me.name AND lease_until < now() AND EXISTS (SELECT FROM claim WHERE owner = r.name)
    RETURNING r.name, watermark_ms
), taken AS (
    SELECT c.correlation_id, gone.watermark_ms FROM claim AS c JOIN gone ON c.owner = gone.name
    ORDER BY c.correlation_id LIMIT %(most)s FOR UPDATE OF c SKIP LOCKED
), mine AS (
    UPDATE claim SET owner = %(me)s FROM taken WHERE claim.correlation_id = taken.correlation_id
    RETURNING claim.correlation_id, claim.processor, claim.attempts, taken.watermark_ms
), held AS (
    UPDATE replica SET watermark_ms = least(watermark_ms, (SELECT min(watermark_ms) FROM mine)) WHERE name = %(me)s
)
SELECT correlation_id, amount_cents, accepted_at_ms, processor, attempts, watermark_ms
FROM mine JOIN payment USING (correlation_id)
"""

# A replica that is gone holds the totals open as long as it leaves claims that may have been charged.
_SUMMARY = """
SELECT s.processor, count(*), sum(s.amount_cents)::bigint, NULL::bigint
FROM settlement AS s WHERE s.requested_at_ms BETWEEN %s AND %s GROUP BY s.processor
UNION ALL
SELECT NULL, NULL, NULL, min(r.watermark_ms) FROM replica AS r
WHERE r.lease_until > now() OR EXISTS (SELECT FROM claim WHERE owner = r.name)
"""

_PAYMENT = """
SELECT p.amount_cents, p.accepted_at_ms, c.owner, coalesce(s.processor, c.processor), s.requested_at_ms, s.attempts,
    (SELECT coalesce(array_agg(amount_cents ORDER BY accepted_at_ms), '{}') FROM conflict WHERE correlation_id = %(id)s)
FROM payment AS p LEFT JOIN claim AS c USING (correlation_id) LEFT JOIN settlement AS s USING (correlation_id)
WHERE p.correlation_id = %(id)s
"""

NOT_MIGRATED = "Postgres answered without a row: are the migrations applied?"
INSTANT_MS_MIN, INSTANT_MS_MAX = -(2**63), 2**63 - 1


class PostgresLedger:
    """Fulfils `actors.ports.Ledger`. One connection writes, one keeps the lease, a pool of few serves readers."""

    def __init__(self, database_url: str, replica: str, now_ms: Callable[[], int]) -> None:
        """Connects when it is first used."""
        self._database_url = database_url
        self._replica = replica
        self._now_ms = now_ms
        self._epoch = 0
        self._writer = Line(database_url, WRITE_S_MAX)
        # Apart from the pool, so that no crowd of readers can cost the lease.
        self._leaser = Line(database_url, ASK_S_MAX)
        self._pool = Pool(database_url, CONNECTIONS_MAX, ASK_S_MAX)

    def open(self) -> None:
        """Begin to connect; returns at once."""
        self._pool.open()

    def close(self) -> None:
        """End all connections."""
        self._pool.close()
        self._writer.close()
        self._leaser.close()

    def write(self, claims: Sequence[Claim], moves: Sequence[Move], settlements: Sequence[Settlement]) -> WriteResult:
        """Commit one batch; see the protocol."""
        parameters = (
            self._replica,
            self._epoch,
            [claim.payment.correlation_id for claim in claims],
            [claim.payment.amount_cents for claim in claims],
            [claim.payment.accepted_at_ms for claim in claims],
            [claim.processor for claim in claims],
            self._replica,
            [move.correlation_id for move in moves],
            [move.processor for move in moves],
            [move.attempts for move in moves],
            self._replica,
            [settlement.correlation_id for settlement in settlements],
            [settlement.processor for settlement in settlements],
            [settlement.requested_at_ms for settlement in settlements],
            [settlement.attempts for settlement in settlements],
        )
        with self._writer.use() as connection:
            rows = connection.execute(_WRITE, parameters, prepare=True).fetchall()
            if not rows and (claims or moves):
                raise LedgerUnavailableError("this replica is not registered, or others have taken over from it")
            assigned = tuple(correlation_id for kind, correlation_id in rows if kind == "inserted")
            moved = tuple(correlation_id for kind, correlation_id in rows if kind == "moved")
            missing = {claim.payment.correlation_id for claim in claims}.difference(assigned)
            known = connection.execute(_KNOWN, (list(missing),)).fetchall() if missing else ()
        return WriteResult(
            assigned, tuple(KnownPayment(Payment(*row[:3]), owner=row[3], processor=row[4]) for row in known), moved
        )

    def report_conflicts(self, payments: Sequence[Payment]) -> None:
        """Keep other amounts beside the first; see the protocol."""
        with self._pool.use() as connection, connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO conflict VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
                [(payment.correlation_id, payment.amount_cents, payment.accepted_at_ms) for payment in payments],
            )

    def generation(self) -> int:
        """See the protocol."""
        return int(self._one("SELECT generation FROM gateway")[0])

    def register(self, generation: int, lease_s: float) -> Registration:
        """Take the name; see the protocol."""
        parameters = {"name": self._replica, "generation": generation, "lease": lease_s, "now_ms": self._now_ms()}
        with self._leaser.use() as connection:
            row = connection.execute(_REGISTER, parameters).fetchone()
        if row is None:
            raise LedgerUnavailableError(NOT_MIGRATED)
        registration = Registration(*row)
        # What is of an older generation may not be written, however new its registration.
        self._epoch = registration.epoch if registration.generation == generation else 0
        return registration

    def beat(self, epoch: int, lease_s: float, watermark_ms: int) -> Beat:
        """Renew the lease; see the protocol."""
        with self._leaser.use() as connection:
            row = connection.execute(_BEAT, (lease_s, watermark_ms, self._replica, epoch)).fetchone()
        return Beat(renewed=False, generation=0) if row is None else Beat(renewed=True, generation=row[0])

    def retire(self, epoch: int, watermark_ms: int) -> None:
        """End the lease; see the protocol."""
        with self._leaser.use() as connection:
            connection.execute(_BEAT, (0, watermark_ms, self._replica, epoch))

    def adopt(self, claims_max: int) -> Adopted | None:
        """Take over from replicas that are gone; see the protocol."""
        with self._leaser.use() as connection:
            rows = connection.execute(
                _ADOPT, {"me": self._replica, "epoch": self._epoch, "most": claims_max}
            ).fetchall()
        if not rows:
            return None
        return Adopted(tuple(_claim(row) for row in rows), min(row[5] for row in rows))

    def gone(self) -> tuple[str, ...]:
        """List replicas whose lease has ended; see the protocol."""
        with self._leaser.use() as connection:
            rows = connection.execute(
                "SELECT name FROM replica WHERE name <> %s AND lease_until < now()", (self._replica,)
            ).fetchall()
        return tuple(row[0] for row in rows)

    def claims(self) -> tuple[Claim, ...]:
        """Read this replica's unsettled rows; see the protocol."""
        with self._leaser.use() as connection:
            rows = connection.execute(
                "SELECT correlation_id, amount_cents, accepted_at_ms, processor, attempts FROM claim JOIN payment"
                " USING (correlation_id) WHERE owner = %s ORDER BY accepted_at_ms",
                (self._replica,),
            ).fetchall()
        return tuple(_claim(row) for row in rows)

    def latest(self, payments_max: int) -> tuple[Payment, ...]:
        """Read what was charged last; see the protocol."""
        with self._leaser.use() as connection:
            rows = connection.execute(
                "SELECT correlation_id, amount_cents, requested_at_ms FROM settlement"
                " ORDER BY requested_at_ms DESC LIMIT %s",
                (payments_max,),
            ).fetchall()
        return tuple(Payment(*row) for row in reversed(rows))

    def payment(self, correlation_id: UUID) -> PaymentRecord | None:
        """Read one payment; see the protocol."""
        with self._pool.use() as connection:
            row = connection.execute(_PAYMENT, {"id": correlation_id}).fetchone()
        if row is None:
            return None
        amount_cents, accepted_at_ms, owner, processor, requested_at_ms, attempts, conflicting = row
        settlement = None
        if requested_at_ms is not None:
            settlement = Settlement(correlation_id, processor, requested_at_ms, attempts)
        payment = Payment(correlation_id, amount_cents, accepted_at_ms)
        return PaymentRecord(payment, processor, owner, settlement, tuple(conflicting))

    def summary(self, from_ms: int | None, to_ms: int | None) -> LedgerSummary:
        """Add up one window; see the protocol."""
        bounds = (INSTANT_MS_MIN if from_ms is None else from_ms, INSTANT_MS_MAX if to_ms is None else to_ms)
        with self._pool.use() as connection:
            rows = connection.execute(_SUMMARY, bounds).fetchall()
        final_before_ms = next(row[3] for row in rows if row[0] is None)
        totals = tuple(ProcessorTotal(*row[:3]) for row in rows if row[0] is not None)
        return LedgerSummary(totals, INSTANT_MS_MAX if final_before_ms is None else final_before_ms)

    def begin_purge(self) -> int:
        """Open a generation; see the protocol."""
        return int(self._one("UPDATE gateway SET generation = generation + 1 RETURNING generation")[0])

    def acknowledge_purge(self, generation: int) -> None:
        """Note this replica's generation; see the protocol."""
        with self._pool.use() as connection:
            connection.execute("UPDATE replica SET generation = %s WHERE name = %s", (generation, self._replica))

    def finish_purge(self, generation: int) -> bool:
        """Empty the tables once nobody holds anything older; see the protocol."""
        with self._pool.use() as connection, connection.transaction():
            row = connection.execute("SELECT purged_generation FROM gateway FOR UPDATE").fetchone()
            if row is not None and row[0] >= generation:
                return True
            pending = connection.execute(
                "SELECT FROM replica WHERE generation < %s AND lease_until > now()", (generation,)
            ).fetchone()
            if pending is not None:
                return False
            # In the order in which a write takes its locks: tables first, then the row of its replica.
            connection.execute("LOCK TABLE payment, claim, settlement, conflict IN ACCESS EXCLUSIVE MODE")
            # Those who are gone may wake up with writes of what is purged now.
            connection.execute("UPDATE replica SET epoch = epoch + 1 WHERE generation < %s", (generation,))
            connection.execute("TRUNCATE payment, claim, settlement, conflict")
            connection.execute("UPDATE gateway SET purged_generation = %s", (generation,))
        return True

    def ping(self) -> None:
        """Ask for an answer, whatever it is, within a short limit."""
        with self._pool.use(PING_S_MAX) as connection:
            connection.execute("SELECT 1")

    def _one(self, query: str, parameters: Any = ()) -> TupleRow:  # noqa: ANN401  # psycopg takes many shapes
        with self._pool.use() as connection:
            row = connection.execute(query, parameters).fetchone()
        if row is None:
            raise LedgerUnavailableError(NOT_MIGRATED)
        return tuple(row)


def _claim(row: TupleRow) -> Claim:
    return Claim(Payment(*row[:3]), processor=row[3], attempts=row[4])
