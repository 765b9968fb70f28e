"""The storage of a replica by role, in a real Postgres or in memory: one contract for both."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any, Protocol
from uuid import UUID

import psycopg
import pytest

from actors.adapters.host_addresses import HostDirectory
from actors.adapters.postgres.connections import Connections
from actors.adapters.postgres.feed import PostgresFeed
from actors.adapters.postgres.fence import Fence
from actors.adapters.postgres.leases import PostgresLeases
from actors.adapters.postgres.payments import PostgresPayments
from actors.adapters.postgres.purge import PostgresPurge
from actors.adapters.postgres.queries import QUERIES
from actors.adapters.postgres.resolutions import PostgresResolutions
from actors.domain.feed import BEGINNING
from actors.domain.payment import Claim, Closing, EndState, Mark, Move, Settlement
from actors.domain.records import FIRST, LastPurge, PaymentRecord, PaymentState, WriteResult
from actors.domain.resolution import Finding, ResolutionAnswer
from ops.simulation.feed import MemoryFeed
from ops.simulation.purges import MemoryPurge
from ops.simulation.resolutions import MemoryResolutions
from ops.simulation.stores import MemoryLeases, MemoryPayments
from ops.simulation.tables import MemoryFence, MemoryTables
from tests.actors.fakes import NOW_MS, READING, both, payment

DEADLINE_S = 20
MANY = 10_000
ONLY = UUID(int=0)
"""The instance of a replica whose name no other one has."""
NOTHING = WriteResult((), (), ())

on_postgres = pytest.mark.parametrize("backend", ["postgres"], indirect=True)
"""For a test of what only a real server does: locks, or clients that act at the same time."""


@dataclass
class ReplicaStorage:
    """What one replica writes to and reads from."""

    payments: PostgresPayments | MemoryPayments
    leases: PostgresLeases | MemoryLeases
    purge: PostgresPurge | MemoryPurge
    resolutions: PostgresResolutions | MemoryResolutions
    ends: PostgresFeed | MemoryFeed
    ping: Callable[[], None]


class OpenStorage(Protocol):
    """Makes the storage of a replica, which is not registered yet."""

    def __call__(self, replica: str, instance: UUID = ONLY) -> ReplicaStorage:
        """Make that of the replica with this name, or of another instance that has it as well."""


CALLS: dict[str, Callable[[ReplicaStorage], object]] = {
    "write": lambda storage: storage.payments.write(
        [claim(1)],
        [Move(uid(2), "fallback", 1, moves=1)],
        [settlement(3)],
        [ended(4)],
        [Mark(uid(5), "unknown", NOW_MS)],
    ),
    "report_conflicts": lambda storage: storage.payments.report_conflicts([payment(1, 5)]),
    "latest": lambda storage: tuple(storage.payments.latest(100)),
    "payment": lambda storage: storage.payments.payment(uid(1)),
    "absence": lambda storage: storage.payments.absence(uid(1)),
    "summary": lambda storage: storage.payments.summary(None, None),
    "register": lambda storage: storage.leases.register(0, READING),
    "beat": lambda storage: storage.leases.beat(1, both(NOW_MS), READING),
    "retire": lambda storage: storage.leases.retire(1, both(NOW_MS)),
    "adopt": lambda storage: storage.leases.adopt(100),
    "stand_aside": lambda storage: storage.leases.stand_aside(0),
    "holder": lambda storage: storage.leases.holder(),
    "others": lambda storage: storage.leases.others(),
    "expel": lambda storage: storage.leases.expel(storage.leases.others()),
    "identity": lambda storage: storage.leases.identity(),
    "claims": lambda storage: storage.leases.claims(100),
    "last_purge": lambda storage: storage.purge.last_purge(),
    "begin_purge": lambda storage: storage.purge.begin_purge(NOW_MS),
    "acknowledge_purge": lambda storage: storage.purge.acknowledge_purge(0),
    "repeat_purge": lambda storage: storage.purge.repeat_purge(LastPurge(0, 0)),
    "finish_purge": lambda storage: storage.purge.finish_purge(LastPurge(0, 0)),
    "watermarks": lambda storage: storage.payments.watermarks(),
    "in_state": lambda storage: storage.payments.in_state(PaymentState.UNKNOWN, FIRST, 100),
    "ask_resolution": lambda storage: storage.resolutions.ask(Finding(uid(1), None, None), "an operator", NOW_MS),
    "answer_to": lambda storage: storage.resolutions.answer_to(1),
    "unanswered": lambda storage: storage.resolutions.unanswered(100),
    "reopen": lambda storage: storage.resolutions.reopen(uid(1)),
    "answer": lambda storage: storage.resolutions.answer(1, ResolutionAnswer.APPLIED, NOW_MS),
    "feed": lambda storage: storage.ends.read(BEGINNING, 100),
    "ping": lambda storage: storage.ping(),
}
"""Every method of the storage ports, and what readiness asks."""


@contextmanager
def opened(database_url: str, replica: str = "a", instance: UUID = ONLY) -> Iterator[ReplicaStorage]:
    with closing(Connections(database_url, HostDirectory())) as connections:
        connections.open()
        fence = Fence(replica)
        yield ReplicaStorage(
            PostgresPayments(connections, fence),
            PostgresLeases(connections, fence, lambda: instance),
            PostgresPurge(connections, fence),
            PostgresResolutions(connections, fence),
            PostgresFeed(connections),
            connections.ping,
        )


def in_memory(tables: MemoryTables, replica: str, instance: UUID = ONLY) -> ReplicaStorage:
    fence = MemoryFence(replica, instance=instance)
    return ReplicaStorage(
        MemoryPayments(tables, fence),
        MemoryLeases(tables, fence),
        MemoryPurge(tables, fence),
        MemoryResolutions(tables, fence),
        MemoryFeed(tables, fence),
        lambda: None,
    )


def expel(storage: ReplicaStorage, *names: str) -> None:
    """Let one replica end the leases of others."""
    storage.leases.expel([each for each in storage.leases.others() if each.name in names])


def uid(number: int) -> UUID:
    return payment(number).correlation_id


def claim(
    number: int, processor: str | None = "default", amount_minor: int = 1990, attempts: int = 0, moves: int = 0
) -> Claim:
    return Claim(payment(number, amount_minor), processor, attempts, moves)


def settlement(
    number: int,
    processor: str = "default",
    requested_at_ms: int = NOW_MS,
    attempts: int = 1,
    amount_minor: int = 1990,
) -> Settlement:
    return Settlement(payment(number, amount_minor), processor, requested_at_ms, attempts, requested_at_ms)


def ended(number: int, state: EndState = EndState.DECLINED) -> Closing:
    return Closing(payment(number), state, "fallback", attempts=2, closed_at_ms=NOW_MS + 9)


def record_of(storage: ReplicaStorage, number: int) -> PaymentRecord:
    record = storage.payments.payment(uid(number))
    assert record is not None
    return record


def register_anew(replica: ReplicaStorage, purge: LastPurge) -> None:
    """Do what actors do that start anew after a purge."""
    replica.payments.forget_registration()
    replica.leases.register(purge.generation, READING)


def charge(storage: ReplicaStorage, number: int, requested_at_ms: int = NOW_MS, processor: str = "default") -> None:
    storage.payments.write([claim(number, processor)], [], [])
    storage.payments.write([], [], [settlement(number, processor, requested_at_ms)])


def rows_read(connection: psycopg.Connection, query: str, parameters: Mapping[str, object]) -> int:
    """Run a query, and count the rows that it took from tables, with those that it dropped."""
    (row,) = connection.execute(b"EXPLAIN (ANALYZE, FORMAT JSON) " + QUERIES[query], parameters).fetchall()

    def count(plan: dict[str, Any]) -> int:
        dropped = plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
        own = (plan["Actual Rows"] + dropped) * plan["Actual Loops"] if "Relation Name" in plan else 0
        return round(own) + sum(map(count, plan.get("Plans", ())))

    return count(row[0][0]["Plan"])


def end_connections(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def wait_until_blocked(database_url: str, statements: int) -> None:
    """Return once this number of statements wait for locks of others."""
    with psycopg.connect(database_url, autocommit=True) as observer:
        deadline_s = monotonic() + DEADLINE_S
        blocked = 0
        while blocked != statements:
            assert monotonic() < deadline_s, f"{blocked} statements wait, not {statements}"
            (blocked,) = observer.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ).fetchone() or (0,)
