"""Transactions that meet: whoever comes second waits, sees what the first one did, and nothing is done twice or lost.

The first one is run by hand, statement by statement, and held open; the second one is what a replica does.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import TypeVar

import psycopg
import pytest

from actors.adapters.host_addresses import HostDirectory
from actors.adapters.postgres.batches import settle_unclaimed
from actors.adapters.postgres.connections import Connections
from actors.adapters.postgres.queries import QUERIES
from actors.domain.payment import Claim, Settlement, claim_to_row, closing_to_row, settlement_to_row
from actors.domain.records import WriteResult
from actors.errors import FencedError
from ops.archiving.partitions import close_last
from tests.actors.adapters.postgres.storage import (
    DEADLINE_S,
    MANY,
    OpenStorage,
    ReplicaStorage,
    charge,
    claim,
    ended,
    record_of,
    settlement,
    uid,
    wait_until_blocked,
)
from tests.actors.fakes import NOW_MS, READING, payment

T = TypeVar("T")
MONTH_MS = 30 * 86_400_000
FIRST, SECOND = settlement(1, "default", NOW_MS), settlement(1, "fallback", NOW_MS + MONTH_MS)


@pytest.fixture
def backend() -> str:
    """Where the storage is: races are of Postgres alone."""
    return "postgres"


class Rival:
    """A transaction of replica b, or of nobody, that stays open until it is told to end."""

    def __init__(self, connection: psycopg.Connection, database_url: str) -> None:
        self.connection = connection
        self._database_url = database_url

    def run(self, query: str, **parameters: object) -> "Rival":
        values = {"replica": "b", "epoch": 1, "timeline": "", "correlation_ids": [uid(1)], **parameters}
        self.connection.execute(QUERIES[query], values)
        return self

    def settle(self, charged: Settlement) -> "Rival":
        return self.run("fence").run("settle", settlements=as_rows(settlement_to_row(charged)))

    def settle_unclaimed(self, charged: Settlement) -> "Rival":
        rows = as_rows(settlement_to_row(charged))
        self.run("fence").run("restore_payments", payments=rows).run("lock_payments").run("release_claims")
        return self.run("book_unclaimed", settlements=rows)

    def close(self) -> "Rival":
        rows = as_rows(closing_to_row(ended(1)))
        self.run("fence").run("restore_payments", payments=rows).run("lock_payments").run("release_own_claims")
        return self.run("write_closings", closings=rows)

    def claim(self, wanted: Claim) -> "Rival":
        return self.run("fence").run("write_claims", claims=as_rows(claim_to_row(wanted)))

    def reopen(self) -> "Rival":
        return self.run("fence").run("lock_payments").run("reopen", correlation_id=uid(1))

    def meets(self, second: Callable[[], T], *, commit: bool = True) -> T:
        """Let somebody do something that has to wait for this transaction, end it, and give what came of it."""
        with ThreadPoolExecutor() as executor:
            future = executor.submit(second)
            wait_until_blocked(self._database_url, 1)
            self.connection.commit() if commit else self.connection.rollback()
            return future.result(DEADLINE_S)


@pytest.fixture
def rival(database_url: str) -> Iterator[Rival]:
    """The two charges of payment 1 belong into two partitions."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        closed = close_last(connection, NOW_MS, MONTH_MS // 2)
        assert closed is not None
        assert closed.to_ms < SECOND.requested_at_ms
    with psycopg.connect(database_url) as connection:
        yield Rival(connection, database_url)


def as_rows(row: Mapping[str, object]) -> str:
    return json.dumps([row], default=str)


def check_books(database_url: str, booked: Settlement, disputes: int) -> None:
    """Check that payment 1 was settled once, and that nothing else of it is left."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT processor, requested_at_ms FROM settlement").fetchall()
        counts = connection.execute(
            "SELECT (SELECT count(*) FROM claim), (SELECT count(*) FROM closed), (SELECT count(*) FROM dispute),"
            " (SELECT count(*) FROM wrong_sum)"
        ).fetchone()
    assert rows == [(booked.processor, booked.requested_at_ms)]
    assert counts == (0, 0, disputes, 0)


def settle(storage: ReplicaStorage, charged: Settlement) -> WriteResult:
    return storage.payments.write([], [], [charged])


SETTLED_BY = {"claim": Rival.settle, "payment": Rival.settle_unclaimed}


@pytest.mark.parametrize("commit", [True, False])
@pytest.mark.parametrize("way", SETTLED_BY)
def test_of_two_who_settle_a_payment_with_a_claim_at_once_one_does(
    mine: ReplicaStorage, other: ReplicaStorage, rival: Rival, database_url: str, way: str, *, commit: bool
) -> None:
    other.payments.write([claim(1)], [], [])
    SETTLED_BY[way](rival, FIRST)
    result = rival.meets(lambda: settle(mine, SECOND), commit=commit)
    assert result.disputed == ((uid(1),) if commit else ())
    check_books(database_url, FIRST if commit else SECOND, int(commit))


@pytest.mark.parametrize("commit", [True, False])
@pytest.mark.parametrize("is_known", [True, False])
def test_of_two_who_settle_a_payment_without_a_claim_at_once_one_does(
    mine: ReplicaStorage, other: ReplicaStorage, rival: Rival, database_url: str, *, is_known: bool, commit: bool
) -> None:
    if is_known:
        other.payments.write([], [], [], [ended(1)])
    rival.settle_unclaimed(FIRST)
    result = rival.meets(lambda: settle(mine, SECOND), commit=commit)
    assert result.disputed == ((uid(1),) if commit else ())
    check_books(database_url, FIRST if commit else SECOND, int(commit))


def test_a_claim_that_is_written_while_its_payment_is_settled_without_one_is_none(
    mine: ReplicaStorage, other: ReplicaStorage, rival: Rival, database_url: str
) -> None:
    assert other.payments.payment(uid(1)) is None
    rival.settle_unclaimed(FIRST)
    result = rival.meets(lambda: mine.payments.write([claim(1)], [], []))
    assert (result.claimed, [known.owner for known in result.known]) == ((), [None])
    check_books(database_url, FIRST, 0)


@pytest.mark.parametrize("commit", [True, False])
def test_a_claim_that_is_written_before_its_payment_is_settled_without_one_is_ended(
    mine: ReplicaStorage, other: ReplicaStorage, rival: Rival, database_url: str, *, commit: bool
) -> None:
    assert other.payments.payment(uid(1)) is None
    rival.claim(claim(1))
    assert rival.meets(lambda: settle(mine, FIRST), commit=commit).disputed == ()
    check_books(database_url, FIRST, 0)


@pytest.mark.parametrize("commit", [True, False])
def test_a_payment_that_is_taken_up_again_while_it_is_settled_has_no_claim_left(
    mine: ReplicaStorage, other: ReplicaStorage, rival: Rival, database_url: str, *, commit: bool
) -> None:
    other.payments.write([], [], [], [ended(1)])
    rival.reopen()
    assert rival.meets(lambda: settle(mine, FIRST), commit=commit).disputed == ()
    check_books(database_url, FIRST, 0)


def test_a_payment_that_is_settled_while_it_is_to_be_taken_up_again_is_not(
    mine: ReplicaStorage, other: ReplicaStorage, rival: Rival, database_url: str
) -> None:
    other.payments.write([], [], [], [ended(1)])
    rival.settle_unclaimed(FIRST)
    assert rival.meets(lambda: mine.resolutions.reopen(uid(1))) is None
    check_books(database_url, FIRST, 0)


@pytest.mark.parametrize("commit", [True, False])
def test_a_payment_that_ends_while_it_is_settled_is_settled(
    mine: ReplicaStorage, other: ReplicaStorage, rival: Rival, database_url: str, *, commit: bool
) -> None:
    other.payments.write([claim(1)], [], [])
    rival.close()
    assert rival.meets(lambda: settle(mine, FIRST), commit=commit).disputed == ()
    check_books(database_url, FIRST, 0)


@pytest.mark.parametrize("way", SETTLED_BY)
def test_a_payment_that_is_settled_while_it_ends_stays_settled(
    mine: ReplicaStorage, other: ReplicaStorage, rival: Rival, database_url: str, way: str
) -> None:
    assert other.payments.payment(uid(1)) is None
    mine.payments.write([claim(1)], [], [])
    SETTLED_BY[way](rival, FIRST)
    rival.meets(lambda: mine.payments.write([], [], [], [ended(1)]))
    check_books(database_url, FIRST, 0)


def test_a_payment_that_is_adopted_while_it_is_settled_is_settled(
    mine: ReplicaStorage, other: ReplicaStorage, rival: Rival, database_url: str
) -> None:
    other.payments.write([claim(1)], [], [])
    other.leases.stand_aside(0)
    charged = as_rows(settlement_to_row(FIRST))
    with psycopg.connect(database_url) as late:
        late.execute("UPDATE claim SET owner = 'a', epoch = 0")
        with ThreadPoolExecutor() as executor:
            future = executor.submit(settle, mine, FIRST)
            wait_until_blocked(database_url, 1)
            late.commit()
            assert future.result(DEADLINE_S).disputed == ()
    rival.run("fence").run("settle", settlements=charged)
    rival.connection.commit()
    check_books(database_url, FIRST, 0)


def test_a_purge_waits_for_batches_and_forgets_what_they_wrote(
    mine: ReplicaStorage, other: ReplicaStorage, rival: Rival
) -> None:
    purge = mine.purge.begin_purge(NOW_MS)
    for each in (mine, other):
        each.purge.acknowledge_purge(purge.generation)
    rival.claim(claim(1))
    assert rival.meets(lambda: mine.purge.finish_purge(purge))
    assert mine.payments.payment(uid(1)) is None


def purging(rival: Rival) -> Rival:
    """Let a purge go on until it has emptied the tables."""
    return rival.run("lock_purges").run("lock_replicas").run("find_later", at_ms=NOW_MS).run("empty_tables")


def test_what_comes_while_a_purge_forgets_is_kept(mine: ReplicaStorage, rival: Rival) -> None:
    later = Claim(replace(payment(1), accepted_at_ms=NOW_MS + 1), "default")
    result = purging(rival).meets(lambda: mine.payments.write([later], [], []))
    assert result.claimed == (uid(1),)
    assert mine.leases.claims(MANY) == (later,)


def test_who_registers_under_a_new_name_waits_for_a_purge(newcomer: ReplicaStorage, rival: Rival) -> None:
    assert purging(rival).meets(lambda: newcomer.leases.register(0, READING)).epoch == 1


def test_a_conflict_that_is_found_while_a_purge_forgets_is_kept_behind_it(
    mine: ReplicaStorage, rival: Rival, database_url: str
) -> None:
    purging(rival).meets(lambda: mine.payments.report_conflicts([payment(1, 5)]))
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT amount_cents FROM conflict").fetchall() == [(5,)]


def test_a_dispute_that_a_fenced_replica_finds_while_a_purge_forgets_is_none(
    mine: ReplicaStorage, rival: Rival, open_storage: OpenStorage
) -> None:
    charge(mine, 1)
    open_storage("a").leases.register(0, READING)

    def disputed() -> tuple[object, ...]:
        with pytest.raises(FencedError) as told:
            settle(mine, SECOND)
        return told.value.disputed

    purging(rival)
    rival.connection.rollback()
    assert disputed() == (uid(1),)
    rival.run("lock_purges").run("empty_tables")
    assert rival.meets(disputed) == ()


def test_a_batch_that_waits_for_the_feed_to_be_renumbered_bears_the_new_numbers(
    mine: ReplicaStorage, rival: Rival, database_url: str
) -> None:
    mine.payments.write([claim(1)], [], [])
    rival.run("lock_purges").run("lock_replicas")
    rival.connection.execute("UPDATE gateway SET feed_offset = feed_offset + 10^15::bigint")
    rival.meets(lambda: settle(mine, FIRST))
    with psycopg.connect(database_url) as connection:
        is_new = connection.execute("SELECT end_number > feed_offset FROM settlement, gateway").fetchone()
    assert is_new == (True,)
    assert record_of(mine, 1).settlement == FIRST


def test_a_registration_that_waits_for_a_heartbeat_takes_back_nothing_that_this_one_has_noted(
    mine: ReplicaStorage, open_storage: OpenStorage, rival: Rival, database_url: str
) -> None:
    """Two processes have the name for a moment: the older one would believe that Postgres had forgotten something."""
    before, copy, connection = mine.leases.identity(), open_storage("a"), rival.connection
    connection.execute("SELECT FROM replica WHERE name = 'a' FOR UPDATE")
    with ThreadPoolExecutor() as executor:
        future = executor.submit(copy.leases.register, 0, READING)
        wait_until_blocked(database_url, 1)
        with psycopg.connect(database_url, autocommit=True) as writer:
            writer.execute("SELECT pg_logical_emit_message(true, 'the log', 'goes on')")
        clocks = {"stamp_ms": NOW_MS, "answer_ms": NOW_MS, "clock_ms": NOW_MS, "system_ms": NOW_MS}
        rival.run("beat", replica="a", **clocks, mark=2**62, history=None)
        noted = connection.execute("SELECT log_position, mark FROM replica WHERE name = 'a'").fetchone()
        connection.commit()
        registration = future.result(DEADLINE_S)
    assert noted is not None
    assert noted[0] > before.position
    after = mine.leases.identity()
    assert (after.noted_position >= noted[0], after.mark == registration.mark > noted[1]) == (True, True)


def test_who_is_taken_over_from_before_a_charge_without_a_claim_is_booked_is_told_so(
    mine: ReplicaStorage, database_url: str
) -> None:
    """The batch itself ends before the takeover, what it leaves over begins behind it."""
    assert mine.payments.payment(uid(1)) is None
    fence: dict[str, str | int] = {"replica": "a", "epoch": 1, "timeline": ""}
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE replica SET epoch = 2")
    with closing(Connections(database_url, HostDirectory())) as connections, connections.writer.use() as writer:
        assert settle_unclaimed(writer, fence, [FIRST]) == (None, [])
        fenced, disputed = settle_unclaimed(writer, fence | {"epoch": 2}, [FIRST])
        assert (fenced is not None, disputed) == (True, [])
    check_books(database_url, FIRST, 0)
