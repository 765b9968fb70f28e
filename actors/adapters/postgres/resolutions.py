"""Operators' findings on payments, in Postgres."""

from typing import Any
from uuid import UUID

from psycopg.rows import kwargs_row, scalar_row

from actors.adapters.postgres.connections import Connections
from actors.adapters.postgres.fence import Fence
from actors.adapters.postgres.queries import QUERIES
from actors.domain.payment import Claim, EndState, claim_from_row
from actors.domain.resolution import Finding, Resolution, ResolutionAnswer
from actors.errors import LedgerUnavailableError


class PostgresResolutions:
    """Fulfils `actors.ports.ResolutionStore`."""

    def __init__(self, connections: Connections, fence: Fence) -> None:
        self._connections = connections
        self._fence = fence

    def ask(self, finding: Finding, asked_by: str, asked_at_ms: int) -> int:
        """Keep a finding for the replica that drives its payment."""
        parameters = {
            "correlation_id": finding.correlation_id,
            "processor": finding.charged_by,
            "requested_at_ms": finding.requested_at_ms,
            "asked_by": asked_by,
            "asked_at_ms": asked_at_ms,
        }
        with self._connections.reader.use() as connection:
            number = connection.cursor(row_factory=scalar_row).execute(QUERIES["ask_resolution"], parameters).fetchone()
        if number is None:
            raise LedgerUnavailableError("Postgres did not number a resolution")
        return int(number)

    def answer_to(self, number: int) -> ResolutionAnswer | None:
        """Read what became of a finding."""
        with self._connections.reader.use() as connection:
            cursor = connection.cursor(row_factory=scalar_row)
            answer = cursor.execute(QUERIES["resolution_answer"], {"number": number}).fetchone()
        return None if answer is None else ResolutionAnswer(answer)

    def unanswered(self, resolutions_max: int, after: int = 0) -> tuple[Resolution, ...]:
        """Read findings on payments that this replica drives, or that none drives."""
        parameters = {"replica": self._fence.replica, "after": after, "resolutions_max": resolutions_max}
        with self._connections.leaser.use() as connection:
            cursor = connection.cursor(row_factory=kwargs_row(_resolution))
            return tuple(cursor.execute(QUERIES["unanswered_resolutions"], parameters))

    def reopen(self, correlation_id: UUID) -> tuple[Claim, EndState] | None:
        """Take up a closed payment."""
        parameters = {
            "replica": self._fence.replica,
            "epoch": self._fence.epoch,
            "correlation_id": correlation_id,
        }
        with self._connections.leaser.use() as connection, connection.transaction():
            # This lock excludes others: a shared one would leave a number in the row that is not that of a batch.
            connection.execute(QUERIES["fence_adopter"], parameters)
            connection.execute(QUERIES["lock_payments"], {"correlation_ids": [correlation_id]})
            cursor = connection.cursor(row_factory=kwargs_row(_reopened))
            return cursor.execute(QUERIES["reopen"], parameters).fetchone()

    def answer(self, number: int, answer: ResolutionAnswer, answered_at_ms: int) -> None:
        """Keep what became of a finding."""
        parameters = {
            "number": number,
            "answer": answer.value,
            "answered_at_ms": answered_at_ms,
            "replica": self._fence.replica,
        }
        with self._connections.leaser.use() as connection:
            connection.execute(QUERIES["answer_resolution"], parameters)


def _resolution(number: int, correlation_id: UUID, processor: str | None, requested_at_ms: int | None) -> Resolution:
    return Resolution(number, Finding(correlation_id, processor, requested_at_ms))


def _reopened(state: str, **claim: Any) -> tuple[Claim, EndState]:  # noqa: ANN401  # columns
    return claim_from_row(**claim), EndState(state)
