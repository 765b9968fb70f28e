"""Leases in Postgres: which replicas live, and the claims of those that are gone."""

from collections.abc import Callable
from typing import Any

from psycopg.rows import class_row, kwargs_row, scalar_row

from actors.adapters.postgres.connections import Connections, Fence
from actors.adapters.postgres.queries import QUERIES
from actors.domain.payment import Claim, claim_from_row
from actors.domain.records import AdoptedClaims, Beat, Registration, Watermarks
from actors.errors import LedgerUnavailableError


class PostgresLeases:
    """Fulfils `actors.ports.LeaseStore`, for one caller at a time."""

    def __init__(self, connections: Connections, fence: Fence, now_ms: Callable[[], int]) -> None:
        self._connections = connections
        self._fence = fence
        self._now_ms = now_ms

    def register(self, generation: int, lease_s: float) -> Registration:
        """Take the name of this replica under a new epoch."""
        parameters = {
            "replica": self._fence.replica,
            "generation": generation,
            "lease_s": lease_s,
            "now_ms": self._now_ms(),
        }
        with self._connections.leaser.use() as connection:
            cursor = connection.cursor(row_factory=class_row(Registration))
            registration = cursor.execute(QUERIES["register"], parameters).fetchone()
        if registration is None:
            raise LedgerUnavailableError("Postgres has no row of the gateway: are the migrations applied?")
        # A replica that holds something older than the last purge may not write it, however new its registration.
        self._fence.epoch = registration.epoch if registration.generation == generation else 0
        return registration

    def beat(self, epoch: int, lease_s: float, watermarks: Watermarks) -> Beat:
        """Renew the lease."""
        parameters = {
            "replica": self._fence.replica,
            "epoch": epoch,
            "lease_s": lease_s,
            "stamp_ms": watermarks.stamp_ms,
            "answer_ms": watermarks.answer_ms,
        }
        with self._connections.leaser.use() as connection:
            cursor = connection.cursor(row_factory=scalar_row)
            generation = cursor.execute(QUERIES["beat"], parameters).fetchone()
        return Beat(renewed=False, generation=0) if generation is None else Beat(renewed=True, generation=generation)

    def retire(self, epoch: int, watermarks: Watermarks) -> None:
        """End the lease."""
        self.beat(epoch, 0, watermarks)

    def adopt(self, claims_max: int) -> AdoptedClaims | None:
        """Take over claims of replicas that are gone."""
        parameters = {"replica": self._fence.replica, "epoch": self._fence.epoch, "claims_max": claims_max}
        with self._connections.leaser.use() as connection:
            cursor = connection.cursor(row_factory=kwargs_row(_claim_and_watermark))
            rows = cursor.execute(QUERIES["adopt"], parameters).fetchall()
        if not rows:
            return None
        return AdoptedClaims(tuple(claim for claim, _ in rows), min(watermark_ms for _, watermark_ms in rows))

    def gone(self) -> tuple[str, ...]:
        """Name the replicas whose lease has ended."""
        with self._connections.leaser.use() as connection:
            cursor = connection.cursor(row_factory=scalar_row)
            return tuple(cursor.execute(QUERIES["gone"], {"replica": self._fence.replica}))

    def claims(self, claims_max: int) -> tuple[Claim, ...]:
        """Read unsettled payments of this replica, the oldest first."""
        parameters = {"replica": self._fence.replica, "claims_max": claims_max}
        with self._connections.leaser.use() as connection:
            cursor = connection.cursor(row_factory=kwargs_row(claim_from_row))
            return tuple(cursor.execute(QUERIES["claims"], parameters))


def _claim_and_watermark(watermark_ms: int, **claim: Any) -> tuple[Claim, int]:  # noqa: ANN401  # columns
    return claim_from_row(**claim), watermark_ms
