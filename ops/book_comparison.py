"""What `ops/reconcile` does once its command line is read: it compares processors' books with Postgres.

A book is a file with one charge a line, as JSON: `correlationId`, `requestedAt`, `currency` where it is not the default
one, and `amount`, or `amountMinor` in minor units. The charges are compared inside Postgres, so that books of any
length fit.
"""

import argparse
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import msgspec
import psycopg
from psycopg.rows import class_row

from actors.domain.instant import iso_from_ms, ms_from_iso
from actors.domain.money import DECIMALS
from ops import ExitStatus, OpsError
from ops.console import Console, RunVerdict
from ops.database import connected
from ops.foreground import print_line

OPEN = "open"
MISSING = "missing"
MEANINGS = {
    MISSING: "charged, and Postgres knows nothing of it",
    "second charge": "charged here, and settled with another processor",
    "different": "settled with another amount, currency or instant",
    "not booked": "settled, and the processor's book does not have it",
    "ended": "charged, and ended in Postgres without a charge",
    OPEN: "charged, and not settled yet: the gateway will ask the processor",
}

MAKE_BOOK = """
CREATE TEMPORARY TABLE book (
    processor text, correlation_id uuid, amount_minor bigint, currency text, requested_at_ms bigint
)
"""
COPY_BOOK = "COPY book (processor, correlation_id, amount_minor, currency, requested_at_ms) FROM STDIN"
COMPARE = """
SELECT * FROM (
    SELECT
        b.correlation_id, b.processor, b.amount_minor, b.currency, b.requested_at_ms,
        CASE
            WHEN s.processor = b.processor AND (s.amount_cents, s.currency, s.requested_at_ms)
                = (b.amount_minor, b.currency, b.requested_at_ms) THEN NULL
            WHEN s.processor = b.processor THEN 'different'
            WHEN s.processor IS NOT NULL THEN 'second charge'
            WHEN c.correlation_id IS NOT NULL THEN 'open'
            WHEN d.correlation_id IS NOT NULL THEN 'ended'
            WHEN is_archived(p.correlation_id, p.accepted_at_ms) THEN NULL
            ELSE 'missing'
        END AS finding
    FROM book AS b LEFT JOIN settlement AS s USING (correlation_id) LEFT JOIN claim AS c USING (correlation_id)
    LEFT JOIN closed AS d USING (correlation_id) LEFT JOIN payment AS p USING (correlation_id)
    UNION ALL
    SELECT correlation_id, processor, amount_cents, currency, requested_at_ms, 'not booked' FROM settlement AS s
    WHERE processor = ANY (%(processors)s)
        AND requested_at_ms BETWEEN %(from_ms)s AND least(%(to_ms)s, (SELECT max(requested_at_ms) FROM book))
        AND NOT EXISTS (
            SELECT FROM book AS b WHERE b.correlation_id = s.correlation_id AND b.processor = s.processor
        )
) AS compared WHERE finding IS NOT NULL ORDER BY requested_at_ms, correlation_id, processor
"""
# As in the gateway: if both write the payment at the same time, one of them finds it there.
RECORD = """
WITH lost AS (
    SELECT DISTINCT ON (correlation_id) b.* FROM book AS b
    WHERE NOT EXISTS (SELECT FROM settlement AS s WHERE s.correlation_id = b.correlation_id)
    ORDER BY correlation_id, requested_at_ms
), inserted AS (
    INSERT INTO payment (correlation_id, amount_cents, currency, accepted_at_ms)
    SELECT correlation_id, amount_minor, currency, requested_at_ms FROM lost ORDER BY correlation_id
    ON CONFLICT DO NOTHING RETURNING correlation_id
)
INSERT INTO settlement (correlation_id, processor, amount_cents, currency, requested_at_ms, attempts, answered_at_ms)
SELECT correlation_id, processor, amount_minor, currency, requested_at_ms, 1, requested_at_ms
FROM lost JOIN inserted USING (correlation_id) ORDER BY correlation_id
ON CONFLICT DO NOTHING
"""


class BookLine(msgspec.Struct, rename="camel"):
    """A line of a book."""

    correlation_id: UUID
    requested_at: str
    amount: Decimal | None = None
    amount_minor: int | None = None
    currency: str = ""

    def minor_units(self, currency: str) -> int:
        """Give the amount in whole minor units.

        Raises:
            ValueError: there is none, or it has more decimals than its currency, which may be unknown.
        """
        if self.amount_minor is not None:
            return self.amount_minor
        if self.amount is None or currency not in DECIMALS:
            raise ValueError(f"{self.amount} {currency} is no amount")
        minor = self.amount.scaleb(DECIMALS[currency])
        if minor != int(minor):
            raise ValueError(f"{self.amount} {currency} has more decimals than its currency")
        return int(minor)


@dataclass(frozen=True, slots=True)
class Difference:
    """One charge, or one settlement, that the other side lacks or has with other values."""

    correlation_id: UUID
    processor: str
    amount_minor: int
    currency: str
    requested_at_ms: int
    finding: str

    def __str__(self) -> str:
        """Say it in one line."""
        amount = Decimal(self.amount_minor).scaleb(-DECIMALS.get(self.currency, 2))
        at = iso_from_ms(self.requested_at_ms)
        return f"{self.finding:<14}{self.correlation_id}  {self.processor}  {amount} {self.currency}  {at}"


def read_book(path: Path, currency: str) -> Iterator[tuple[UUID, int, str, int]]:
    """Read a book, line by line: id, minor units, currency, instant in milliseconds.

    Raises:
        OpsError: it cannot be read; the message names the line.
    """
    read = 0
    try:
        with path.open("rb") as lines:
            for line in lines:
                charge = msgspec.json.decode(line, type=BookLine)
                code = charge.currency or currency
                yield charge.correlation_id, charge.minor_units(code), code, ms_from_iso(charge.requested_at)
                read += 1
    except (OSError, ValueError, ArithmeticError) as error:
        raise OpsError(f"{path}, line {read + 1}: {error}") from error


def reconcile(connection: psycopg.Connection, given: argparse.Namespace) -> tuple[list[Difference], int]:
    """Compare the books with Postgres; give what differs, and how many charges were recorded before.

    Raises:
        OpsError: a book cannot be read.
    """
    connection.execute(MAKE_BOOK)
    names = []
    with connection.cursor() as cursor, cursor.copy(COPY_BOOK) as copy:
        for book in given.books:
            name, _, file = book.partition("=")
            names.append(name)
            for charge in read_book(Path(file), given.currency):
                if given.from_ms <= charge[-1] <= given.to_ms:
                    copy.write_row((name, *charge))
    connection.execute("ANALYZE book")
    recorded = connection.execute(RECORD).rowcount if given.record else 0
    bounds = {"processors": names, "from_ms": given.from_ms, "to_ms": given.to_ms}
    return connection.cursor(row_factory=class_row(Difference)).execute(COMPARE, bounds).fetchall(), recorded


def compare_books(command: str, given: argparse.Namespace) -> ExitStatus:
    """Compare the books that the command line names with Postgres, and tell what differs.

    Raises:
        OpsError: a book cannot be read, or Postgres cannot be reached.
    """
    # It is one transaction: what was recorded is kept only if everything was read.
    with connected(given.database_url, command) as connection:
        findings, recorded = reconcile(connection, given)
    counts = Counter(each.finding for each in findings)
    agrees = not counts.keys() - {OPEN}
    if not given.json:
        for each in findings:
            print_line(str(each))
    told = [{**asdict(each), "correlation_id": str(each.correlation_id)} for each in findings]
    document = {"agree": agrees, "recorded": recorded, "counts": counts, "findings": told}
    words = f"Postgres {'agrees with' if agrees else 'differs from'} the books; {recorded} charges recorded."
    rows = [(finding, f"{count}: {MEANINGS[finding]}") for finding, count in counts.items()]
    return Console(as_json=given.json).conclude(RunVerdict(words, kept=agrees), rows, document)
