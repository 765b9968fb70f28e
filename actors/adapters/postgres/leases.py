"""Leases in Postgres: which replicas live, and the claims of those that have left."""

import secrets
from collections.abc import Callable, Collection, Sequence
from typing import Any
from uuid import UUID

import msgspec
from psycopg.rows import dict_row, kwargs_row, scalar_row

from actors.adapters.postgres.connections import Connections
from actors.adapters.postgres.feed import renumber_feed
from actors.adapters.postgres.fence import Fence
from actors.adapters.postgres.identity import read_identity
from actors.adapters.postgres.queries import QUERIES
from actors.domain.payment import Claim, claim_from_row
from actors.domain.records import (
    AdoptedClaims,
    Beat,
    Registration,
    ReplicaState,
    StoreIdentity,
    Watermarks,
)
from actors.domain.wall_clock import ClockReading
from actors.errors import LeaseLostError, LedgerUnavailableError

NAME_TAKEN = "another instance has this replica's name"

EPOCH_MAX = 2**63 - 1
GREATEST_ID = UUID(int=2**128 - 1)
MARK_BITS = 20
"""The number of different marks in one millisecond, as a power of two."""
CLOCK_MS_MAX = 2**42
"""The latest time that marks follow, in the year 2109."""
FORGET_AFTER_MS = 3_600_000
"""A replica that has left and holds nothing is forgotten when another one registers, if it last published longer ago
than this by the clocks of the two."""


class PostgresLeases:
    """Fulfils `actors.ports.LeaseStore`, for one caller at a time."""

    def __init__(self, connections: Connections, fence: Fence, instance: Callable[[], UUID]) -> None:
        """`instance` gives the id beside this replica's journal, once that is open."""
        self._connections = connections
        self._fence = fence
        self._instance = instance
        self._identity: StoreIdentity | None = None
        self._mark = 0
        """The last mark that this process has sent, or read as the last one of an earlier process."""

    def identity(self) -> StoreIdentity:
        """Tell which Postgres answers. If it may have forgotten something, nothing is written before a registration."""
        fence = self._fence
        with self._connections.leaser.use() as connection:
            identity = read_identity(connection, fence.replica, last_write := fence.last_write)
            if fence.store is not None:
                is_shut, fence.is_shut = fence.is_shut, not identity.follows(fence.store)
                # What the Postgres before this one acknowledges from now on counts as not acknowledged.
                fence.shut_count += fence.is_shut and not is_shut
                if fence.is_shut and fence.last_write is not last_write:
                    identity = read_identity(connection, fence.replica, fence.last_write)
        self._identity, self._mark = identity, max(self._mark, identity.mark)
        if fence.store is not None and not fence.is_shut:
            fence.store = identity
        return identity

    def confirm(self, identity: StoreIdentity) -> None:
        """Note in Postgres that it has every commit that this replica was told of."""
        with self._connections.leaser.use() as connection:
            connection.execute(QUERIES["confirm"], {"replica": self._fence.replica, "history": identity.history})

    def establish(self, identity: StoreIdentity, forgot_at_ms: int | None = None) -> None:
        """Note what was decided about this history of the database."""
        parameters = {"history": identity.history, "forgot_at_ms": forgot_at_ms}
        with self._connections.leaser.use() as connection:
            connection.execute(QUERIES["establish"], parameters)

    def register(self, generation: int, clock: ClockReading, *, store_forgot: bool = False) -> Registration:
        """Take the name of this replica under a new epoch."""
        parameters = {
            "replica": self._fence.replica,
            "instance": self._instance(),
            "generation": generation,
            **self._next_mark(clock),
            **_columns(clock),
        }
        if store_forgot:
            self._fence.epoch = 0
        with self._connections.leaser.use() as connection:
            forgotten = {"replica": self._fence.replica, "before_ms": clock.clock_ms - FORGET_AFTER_MS}
            connection.execute(QUERIES["forget_replicas"], forgotten)
            renumber_feed(connection, anyway=store_forgot)
            cursor = connection.cursor(row_factory=dict_row)
            row = cursor.execute(QUERIES["register"], parameters).fetchone()
        if row is None:
            raise LedgerUnavailableError(
                "Postgres is another one now, or has no row of the gateway: are the migrations applied?"
            )
        if row["epoch"] is None:
            raise LeaseLostError(NAME_TAKEN)
        registration = Registration(**row)
        self._mark = registration.mark
        self._fence.registered_epoch = registration.epoch
        is_first = not self._fence.epoch
        others_between = not is_first and registration.epoch != self._fence.epoch + 1
        if is_first or others_between:
            self._fence.since_epoch = registration.epoch
        # A replica that holds something older than the last purge may not write it, however new its registration; nor
        # one that has yet to hear that others have had its name.
        is_admitted = registration.generation == generation and not others_between
        self._fence.epoch = registration.epoch if is_admitted else 0
        self._fence.store = None if self._identity is None else self._identity.noted(self._mark)
        self._fence.is_shut, self._fence.last_write = False, None
        return registration

    def beat(self, epoch: int, watermarks: Watermarks, clock: ClockReading) -> Beat:
        """Renew the lease."""
        parameters = {
            "replica": self._fence.replica,
            "epoch": epoch,
            "stamp_ms": watermarks.stamp_ms,
            "answer_ms": watermarks.answer_ms,
            **self._next_mark(clock),
            **_columns(clock),
        }
        with self._connections.leaser.use() as connection:
            cursor = connection.cursor(row_factory=scalar_row)
            generation = cursor.execute(QUERIES["beat"], parameters).fetchone()
            store = self._fence.store
            if generation is None and store and not read_identity(connection, self._fence.replica).follows(store):
                raise LedgerUnavailableError("this is not the Postgres with which the replica registered")
        if generation is None:
            return Beat(renewed=False, generation=0)
        if store is not None:
            self._fence.store = store.noted(self._mark)
        return Beat(renewed=True, generation=generation, mark=self._mark)

    def _next_mark(self, clock: ClockReading) -> dict[str, int | str | None]:
        """Choose a mark above all before it, which no other process of this replica has chosen or ever will."""
        rise = 1 + secrets.randbelow(2**MARK_BITS)
        self._mark = max(self._mark, min(clock.system_ms, CLOCK_MS_MAX) << MARK_BITS) + rise
        return {"mark": self._mark, "rise": rise, "history": None if self._identity is None else self._identity.history}

    def retire(self, epoch: int, watermarks: Watermarks) -> None:
        """End the lease."""
        parameters = {"replica": self._fence.replica, "epoch": epoch, "stamp_ms": watermarks.stamp_ms}
        with self._connections.leaser.use() as connection:
            connection.execute(QUERIES["retire"], parameters)

    def note_emptied(self) -> None:
        """Note that this replica, which has left, holds nothing that is not in Postgres."""
        parameters = {"replica": self._fence.replica, "instance": self._instance()}
        with self._connections.leaser.use() as connection:
            connection.execute(QUERIES["note_emptied"], parameters)

    def stand_aside(self, generation: int) -> None:
        """End the lease under this replica's name, if there is one."""
        parameters = {"replica": self._fence.replica, "instance": self._instance(), "generation": generation}
        with self._connections.leaser.use() as connection:
            is_taken = connection.execute(QUERIES["stand_aside"], parameters).fetchone() is None
        if is_taken:
            raise LeaseLostError(NAME_TAKEN)

    def holder(self) -> ReplicaState | None:
        """Look at another process that has this replica's name."""
        parameters = {
            "replica": self._fence.replica,
            "instance": self._instance(),
            "epoch": self._fence.registered_epoch,
        }
        with self._connections.leaser.use() as connection:
            cursor = connection.cursor(row_factory=kwargs_row(_replica_state))
            return cursor.execute(QUERIES["holder"], parameters).fetchone()

    def others(self) -> tuple[ReplicaState, ...]:
        """Look at all other replicas."""
        with self._connections.leaser.use() as connection:
            cursor = connection.cursor(row_factory=kwargs_row(_replica_state))
            return tuple(cursor.execute(QUERIES["others"], {"replica": self._fence.replica}))

    def expel(self, replicas: Sequence[ReplicaState]) -> None:
        """End the leases of replicas that have not beaten since they were looked at."""
        seen = [{"name": each.name, "epoch": each.epoch, "beats": each.beats} for each in replicas]
        with self._connections.leaser.use() as connection:
            connection.execute(QUERIES["expel"], {"replicas": msgspec.json.encode(seen).decode()})

    def adopt(self, claims_max: int, leave_out: Collection[str] = ()) -> AdoptedClaims | None:
        """Take over claims of replicas that have left."""
        me = {"replica": self._fence.replica, "epoch": self._fence.epoch}
        chosen = {"leave_out": list(leave_out), "claims_max": claims_max}
        with self._connections.leaser.use() as connection, connection.transaction():
            names = connection.cursor(row_factory=scalar_row)
            if names.execute(QUERIES["fence_adopter"], me).fetchone() is None:
                return None
            left = names.execute(QUERIES["fence_left"], me | chosen).fetchall()
            if not left:
                return None
            cursor = connection.cursor(row_factory=kwargs_row(_claim_and_watermark))
            rows = cursor.execute(QUERIES["adopt"], me | chosen | {"left": left}).fetchall()
            if not rows:
                return None
            oldest_ms = min(watermark_ms for _, watermark_ms in rows)
            connection.execute(QUERIES["lower_watermarks"], me | {"watermark_ms": oldest_ms})
        return AdoptedClaims(tuple(claim for claim, _ in rows), oldest_ms)

    def claims(
        self,
        claims_max: int,
        after: UUID | None = None,
        *,
        earlier_run: bool = False,
        naming: str | None = None,
        leave_out: Collection[str] = (),
    ) -> tuple[Claim, ...]:
        """Read the unsettled payments of this replica with the lowest ids behind `after`, the oldest of them first."""
        if after == GREATEST_ID:
            return ()
        parameters = {
            "replica": self._fence.replica,
            "from_id": UUID(int=0 if after is None else after.int + 1),
            "before_epoch": self._fence.since_epoch if earlier_run else EPOCH_MAX,
            "naming": naming,
            "leave_out": list(leave_out),
            "claims_max": claims_max,
        }
        with self._connections.leaser.use() as connection:
            cursor = connection.cursor(row_factory=kwargs_row(claim_from_row))
            return tuple(cursor.execute(QUERIES["claims"], parameters))


def _claim_and_watermark(watermark_ms: int, **claim: Any) -> tuple[Claim, int]:  # noqa: ANN401  # columns
    return claim_from_row(**claim), watermark_ms


def _columns(clock: ClockReading) -> dict[str, int]:
    return {"clock_ms": clock.clock_ms, "system_ms": clock.system_ms}


def _replica_state(
    clock_ms: int | None,
    system_ms: int | None,
    **columns: Any,  # noqa: ANN401  # the other fields
) -> ReplicaState:
    clock = None if clock_ms is None or system_ms is None else ClockReading(clock_ms, system_ms)
    return ReplicaState(**columns, clock=clock)
