"""Batches of writes to Postgres: each is one transaction, whose statements go there in one round trip."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import msgspec
from psycopg.pq.abc import PGresult
from psycopg.rows import scalar_row

from actors.adapters.postgres.fence import FencedWrite
from actors.adapters.postgres.pipeline import Value, column, make_step, transact
from actors.adapters.postgres.queries import QUERIES
from actors.adapters.postgres.session import GeventConnection
from actors.domain.payment import (
    Claim,
    Closing,
    Mark,
    Move,
    Settlement,
    claim_to_row,
    closing_to_row,
    settlement_to_row,
)

_encoder = msgspec.json.Encoder()


@dataclass(slots=True)
class WrittenBatch:
    """What a batch has changed."""

    fenced: FencedWrite | None
    """What it noted in its replica's row; None if the replica has a later registration, so that nothing was changed."""
    known: list[UUID]
    """Payments that were to be claimed and had a row already."""
    moved: list[UUID]
    """Payments whose moves hold now."""
    booked: int
    """How many settlements were booked in exchange for a claim."""


def write_batch(
    connection: GeventConnection,
    fence: dict[str, str | int],
    claims: Sequence[Claim],
    moves: Sequence[Move],
    settlements: Sequence[Settlement],
    closings: Sequence[Closing],
    marks: Sequence[Mark],
) -> WrittenBatch:
    """Commit a batch, in as few statements as it has kinds of changes. Moves do not see the claims of the batch."""
    steps = {"fence": make_step("fence", fence)}

    def add(query: str, **parameters: Value) -> None:
        steps[query] = make_step(query, fence | parameters)

    if moves:
        add("write_moves", moves=to_json(moves))
    if claims:
        add("write_claims", claims=to_json([claim_to_row(claim) for claim in claims]))
    if settlements:
        add("settle", settlements=_charges(settlements))
    if closings:
        rows = to_json([closing_to_row(closing) for closing in closings])
        ids = [closing.correlation_id for closing in closings]
        add("restore_payments", payments=rows)
        add("lock_payments", correlation_ids=ids)
        add("release_own_claims", correlation_ids=ids)
        add("write_closings", closings=rows)
    if marks:
        add("write_marks", marks=to_json(marks))
    results = transact(connection, list(steps.values()))
    answers = {query: column(result) for query, result in zip(steps, results, strict=True)}
    return WrittenBatch(
        fenced=_fenced(results[0]),
        known=[UUID(key) for key in answers.get("write_claims", ())],
        moved=[UUID(key) for key in answers.get("write_moves", ())],
        booked=int(answers.get("settle", ["0"])[0]),
    )


def settle_unclaimed(
    connection: GeventConnection, fence: dict[str, str | int], settlements: Sequence[Settlement]
) -> tuple[FencedWrite | None, list[UUID]]:
    """Book charges whose payments had no claim: Postgres has lost it, or they were settled or ended before.

    Gives what it noted in its replica's row, or None if the replica has a later registration and nothing is booked; and
    the payments that are newly in dispute, because another charge has settled them. Each statement sees all commits
    that those before it have waited for: settling with a claim locks the claim, settling without one the payment.
    """
    charges = _charges(settlements)
    by_id = fence | {"correlation_ids": [settlement.correlation_id for settlement in settlements]}
    with connection.transaction():
        found = connection.execute(QUERIES["fence"], fence).fetchone()
        archived = _archived(connection, settlements)
        connection.execute(QUERIES["restore_payments"], fence | {"payments": charges})
        connection.execute(QUERIES["lock_payments"], by_id)
        connection.execute(QUERIES["release_claims"], by_id)
        unknown = _charges([each for each in settlements if each.correlation_id not in archived])
        connection.execute(QUERIES["book_unclaimed"], fence | {"settlements": unknown})
        disputes = _disputes(connection, charges, archived)
    return None if found is None else FencedWrite(*found[1:]), disputes


def compare(connection: GeventConnection, settlements: Sequence[Settlement]) -> list[UUID]:
    """Compare charges with what is booked, for a replica that may not write; give the payments newly in dispute."""
    with connection.transaction():
        connection.execute(QUERIES["hold_off_purge"])
        return _disputes(connection, _charges(settlements), _archived(connection, settlements))


def _archived(connection: GeventConnection, settlements: Sequence[Settlement]) -> list[UUID]:
    ids = [settlement.correlation_id for settlement in settlements]
    cursor = connection.cursor(row_factory=scalar_row)
    return cursor.execute(QUERIES["archived_payments"], {"correlation_ids": ids}).fetchall()


def _disputes(connection: GeventConnection, charges: str, archived: list[UUID]) -> list[UUID]:
    cursor = connection.cursor(row_factory=scalar_row)
    given = {"settlements": charges, "archived": archived}
    return cursor.execute(QUERIES["compare_settlements"], given).fetchall()


def _fenced(result: PGresult) -> FencedWrite | None:
    if not result.ntuples:
        return None
    mark, transaction = (int(result.get_value(0, number) or 0) for number in (1, 2))
    return FencedWrite(mark, transaction)


def to_json(rows: Sequence[object]) -> str:
    """Lay out rows as the statements read them."""
    return _encoder.encode(rows).decode()


def _charges(settlements: Sequence[Settlement]) -> str:
    return to_json([settlement_to_row(settlement) for settlement in settlements])
