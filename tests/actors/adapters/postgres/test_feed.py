"""The feed of what ended: each end once, in an order that a late commit does not change."""

import os
import random
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Semaphore
from uuid import UUID

import gevent
import psycopg
import pytest

from actors.adapters.postgres.queries import QUERIES
from actors.domain.feed import BEGINNING, PURGE_ID, EventKind, FeedEvent, FeedPlace
from actors.domain.money import Money
from actors.domain.payment import EndState
from actors.errors import LedgerUnavailableError
from actors.feed import STEP_S, Feed
from ops.migrate import migrate
from ops.stack.embedded import PostgresServer
from tests.actors.adapters.postgres.storage import (
    DEADLINE_S,
    MANY,
    OpenStorage,
    ReplicaStorage,
    charge,
    claim,
    ended,
    on_postgres,
    opened,
    register_anew,
    rows_read,
    settlement,
    uid,
)
from tests.actors.fakes import NOW_MS, READING, VirtualRuntime, payment

SETTLE = (
    "INSERT INTO settlement (correlation_id, processor, amount_cents, requested_at_ms, attempts)"
    " VALUES (%s, 'p' || pg_backend_pid(), 1990, 1, 1)"
)
"""As a replica of the release before does, which writes no number. Sums are apart, so that none waits for another."""

USE_UP_NUMBERS = "DO $$ BEGIN FOR i IN 1..1000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$"


class Consumer:
    """Reads on from where it has stopped."""

    def __init__(self, storage: ReplicaStorage, page_max: int = MANY) -> None:
        self.place = BEGINNING
        self.seen: list[FeedEvent] = []
        self._storage = storage
        self._page_max = page_max

    def read(self) -> list[UUID]:
        """Read all that is new."""
        begun = len(self.seen)
        while True:
            _, events = self._storage.ends.read(self.place, self._page_max)
            self.seen += events
            if events:
                self.place = events[-1].place
            else:
                assert self._storage.ends.newest()[1] <= self.place
                return [event.place.correlation_id for event in self.seen[begun:]]


@contextmanager
def transaction(database_url: str, *numbers: int) -> Iterator[psycopg.Connection]:
    """Settle payments in a transaction of their own, which commits at the end."""
    with psycopg.connect(database_url) as connection:
        for number in numbers:
            connection.execute(SETTLE, [uid(number)])
        yield connection


def test_every_end_is_told_once_and_pages_follow_each_other(mine: ReplicaStorage, other: ReplicaStorage) -> None:
    all_at_once, in_pages = Consumer(other), Consumer(other, page_max=2)
    charge(mine, 3)
    assert (all_at_once.read(), in_pages.read()) == ([uid(3)], [uid(3)])
    mine.payments.write([claim(number) for number in (1, 2, 4, 5)], [], [])
    mine.payments.write([], [], [settlement(1), settlement(2, "fallback", NOW_MS + 5)])
    mine.payments.write([], [], [], [ended(4), ended(5, EndState.MISMATCHED)])
    assert (all_at_once.read(), all_at_once.read()) == ([uid(1), uid(2), uid(4), uid(5)], [])
    assert in_pages.read() == [uid(1), uid(2), uid(4), uid(5)]
    assert all_at_once.seen == in_pages.seen
    assert [replace(event, place=BEGINNING) for event in all_at_once.seen[2:]] == [
        FeedEvent(BEGINNING, EventKind.SETTLED, NOW_MS + 5, Money(1990, "BRL"), "fallback", NOW_MS + 5),
        FeedEvent(BEGINNING, EventKind.DECLINED, NOW_MS + 9, Money(1990, "BRL"), "fallback"),
        FeedEvent(BEGINNING, EventKind.MISMATCHED, NOW_MS + 9, Money(1990, "BRL"), "fallback"),
    ]


def test_an_end_that_another_one_replaces_is_told_anew(mine: ReplicaStorage) -> None:
    consumer = Consumer(mine)
    mine.payments.write([claim(1), claim(2)], [], [])
    mine.payments.write([], [], [], [ended(1), ended(2)])
    assert consumer.read() == [uid(1), uid(2)]
    mine.payments.write([], [], [settlement(1)])
    assert mine.resolutions.reopen(uid(2)) is not None
    assert consumer.read() == [uid(1)]
    assert consumer.seen[-1].kind is EventKind.SETTLED
    mine.payments.write([], [], [], [ended(1), ended(2)])
    assert consumer.read() == [uid(2)]
    assert Consumer(mine).read() == [uid(1), uid(2)]


def test_what_is_written_once_more_is_no_second_event(mine: ReplicaStorage) -> None:
    charge(mine, 1)
    consumer = Consumer(mine)
    mine.payments.write([], [], [settlement(1)])
    mine.payments.write([], [], [settlement(1, "fallback")])
    assert (consumer.read(), consumer.seen[0].processor) == ([uid(1)], "default")


def test_a_purge_is_told_in_its_place_and_what_came_later_stays(newcomer: ReplicaStorage) -> None:
    newcomer.leases.register(0, READING)
    consumer = Consumer(newcomer)
    charge(newcomer, 1)
    later = replace(settlement(2), payment=replace(payment(2), accepted_at_ms=NOW_MS + 1))
    newcomer.payments.write([], [], [later])
    assert consumer.read() == [uid(1), uid(2)]
    purge = newcomer.purge.begin_purge(NOW_MS)
    newcomer.purge.acknowledge_purge(purge.generation)
    assert newcomer.purge.finish_purge(purge)
    register_anew(newcomer, purge)
    charge(newcomer, 3)
    assert (consumer.read(), Consumer(newcomer).read()) == ([PURGE_ID, uid(3)], [uid(2), PURGE_ID, uid(3)])
    assert (consumer.seen[2].kind, consumer.seen[2].at_ms) == (EventKind.PURGED, NOW_MS)


@on_postgres
def test_an_end_that_commits_late_is_waited_for(mine: ReplicaStorage, database_url: str) -> None:
    consumer = Consumer(mine)
    with transaction(database_url, 1):
        with transaction(database_url, 2):
            pass
        charge(mine, 3)
        bounds, events = mine.ends.read(BEGINNING, MANY)
        assert (events, mine.ends.newest()[1]) == ((), BEGINNING)
        assert bounds.complete_below < bounds.given_below
        assert consumer.read() == []
    assert consumer.read() == [uid(1), uid(2), uid(3)]


@on_postgres
@pytest.mark.parametrize("seed", range(3))
def test_however_transactions_overlap_each_end_is_read_once(mine: ReplicaStorage, database_url: str, seed: int) -> None:
    rng = random.Random(seed)
    consumer, latest = Consumer(mine, page_max=3), Consumer(mine)
    committed: set[UUID] = set()
    with ExitStack() as ends:
        free = [ends.enter_context(psycopg.connect(database_url)) for _ in range(6)]
        running: list[tuple[psycopg.Connection, list[int]]] = []
        number = 0
        for _ in range(150):
            if free and rng.random() < 0.5:
                connection = free.pop(rng.randrange(len(free)))
                running.append((connection, []))
            elif running and rng.random() < 0.6:
                connection, numbers = rng.choice(running)
                number += 1
                connection.execute(SETTLE, [uid(number)])
                numbers.append(number)
            elif running:
                connection, numbers = running.pop(rng.randrange(len(running)))
                free.append(connection)
                if rng.random() < 0.2:
                    connection.rollback()
                else:
                    connection.commit()
                    committed.update(map(uid, numbers))
            if rng.random() < 0.5:
                consumer.read()
    latest.read()
    consumer.read()
    assert consumer.seen == latest.seen
    found = [event.place.correlation_id for event in consumer.seen]
    assert len(found) == len(set(found))
    assert committed <= set(found)


@on_postgres
def test_what_ended_before_there_were_numbers_stands_first(mine: ReplicaStorage, database_url: str) -> None:
    charge(mine, 1)
    with psycopg.connect(database_url) as connection:
        for number in (7, 5, 9):
            connection.execute(SETTLE, [uid(number)])
            connection.execute("UPDATE settlement SET end_number = 0 WHERE correlation_id = %s", [uid(number)])
    assert Consumer(mine, page_max=2).read() == [uid(5), uid(7), uid(9), uid(1)]


def let_another_history_begin(database_url: str) -> FeedPlace:
    """Let the database be a restored one, whose transactions have numbers that were given before.

    Returns:
        A place that was given by the history that is lost.
    """
    with psycopg.connect(database_url) as connection:
        (given,) = connection.execute("SELECT next_end_number() FROM gateway").fetchone() or (0,)
        connection.execute("UPDATE gateway SET feed_history = 'another', feed_offset = feed_offset - 1000000")
    return FeedPlace(given + 100, uid(0))


@on_postgres
def test_a_cursor_of_a_lost_history_skips_nothing_that_is_written_afterwards(
    mine: ReplicaStorage, other_newcomer: ReplicaStorage, database_url: str
) -> None:
    charge(mine, 1)
    lost = let_another_history_begin(database_url)
    with pytest.raises(LedgerUnavailableError):
        mine.ends.read(lost, MANY)
    other_newcomer.leases.register(0, READING)
    charge(other_newcomer, 2)
    _, events = mine.ends.read(lost, MANY)
    assert [event.place.correlation_id for event in events] == [uid(2)]
    assert Consumer(mine).read() == [uid(1), uid(2)]


@on_postgres
def test_replicas_that_start_at_once_in_another_history_skip_nothing(
    open_storage: OpenStorage, database_url: str
) -> None:
    storages = [open_storage(name) for name in "abc"]
    lost = let_another_history_begin(database_url)

    def join(number: int, storage: ReplicaStorage) -> None:
        storage.leases.register(0, READING)
        charge(storage, number)

    joining = [gevent.spawn(join, number, storage) for number, storage in enumerate(storages, 1)]
    gevent.joinall(joining, timeout=DEADLINE_S, raise_error=True)
    _, events = storages[0].ends.read(lost, MANY)
    assert {event.place.correlation_id for event in events} == {uid(1), uid(2), uid(3)}


@on_postgres
def test_numbers_begin_anew_where_a_replica_knows_that_postgres_forgot(
    mine: ReplicaStorage, newcomer: ReplicaStorage, database_url: str
) -> None:
    """An old copy of the data has the same history; only who remembers a later one can tell."""
    charge(mine, 1)
    lost = let_another_history_begin(database_url)
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE gateway SET feed_history = database_history()")
    newcomer.leases.register(0, READING, store_forgot=True)
    charge(newcomer, 2)
    _, events = newcomer.ends.read(lost, MANY)
    assert [event.place.correlation_id for event in events] == [uid(2)]


def test_numbers_begin_anew_only_when_every_batch_is_written(database_url: str) -> None:
    with opened(database_url, "b") as other:
        other.leases.register(0, READING)
    let_another_history_begin(database_url)
    with opened(database_url) as storage, psycopg.connect(database_url) as batch:
        assert batch.execute(QUERIES["fence"], {"replica": "b", "epoch": 1, "timeline": ""}).fetchone()
        with pytest.raises(LedgerUnavailableError, match="lock timeout"):
            storage.leases.register(0, READING)


def test_the_newest_place_is_that_of_the_last_end_or_purge(newcomer: ReplicaStorage) -> None:
    newcomer.leases.register(0, READING)
    consumer = Consumer(newcomer)

    def newest() -> FeedPlace:
        return newcomer.ends.newest()[1]

    assert newest() == BEGINNING
    charge(newcomer, 2)
    newcomer.payments.write([claim(1)], [], [])
    assert (consumer.read(), newest()) == ([uid(2)], consumer.place)
    newcomer.payments.write([], [], [], [ended(1)])
    assert (consumer.read(), newest()) == ([uid(1)], consumer.place)
    purge = newcomer.purge.begin_purge(NOW_MS)
    newcomer.purge.acknowledge_purge(purge.generation)
    assert newcomer.purge.finish_purge(purge)
    assert (consumer.read(), newest()) == ([PURGE_ID], consumer.place)


def test_numbers_that_a_crash_takes_back_are_given_to_ends_that_nobody_skips(tmp_path: Path) -> None:
    """Numbers of transactions that wrote nothing count as given before anything of them is on the disk."""
    server = PostgresServer(tmp_path / "data", log=tmp_path / "log")
    try:
        server.start()
        server.wait_ready()
        migrate(server.url)
        with opened(server.url) as storage:
            storage.leases.register(0, READING)
            charge(storage, 1)
            consumer = Consumer(storage)
            assert consumer.read() == [uid(1)]
            with psycopg.connect(server.url, autocommit=True) as connection:
                ((writer,),) = connection.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'")
                # It would make them durable within a fifth of a second.
                os.kill(writer, signal.SIGSTOP)
                connection.execute(USE_UP_NUMBERS)
            feed = Feed(storage.ends, VirtualRuntime(), Semaphore)
            pages = [feed.page(after, MANY, 0.0) for after in (BEGINNING, consumer.place, None)]
            before, _ = storage.ends.read(BEGINNING, MANY)
            server.kill()
        server.start()
        server.wait_ready()
        with opened(server.url) as storage:
            bounds, _ = storage.ends.read(BEGINNING, MANY)
            storage.leases.register(0, READING)
            assert bounds.given_below < before.complete_below - 100
            feed = Feed(storage.ends, VirtualRuntime(), Semaphore)
            assert [feed.page(page.next, MANY, 0.0).events for page in pages] == [()] * 3
            charge(storage, 2)
            told = [feed.page(page.next, MANY, STEP_S).events for page in pages]
            assert [[event.place.correlation_id for event in events] for events in told] == [[uid(2)]] * 3
    finally:
        server.erase()


def test_a_page_reads_no_more_than_it_gives(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO payment SELECT gen_random_uuid(), 1990, n FROM generate_series(1, 3000) AS n;"
            "INSERT INTO settlement SELECT correlation_id, 'default', 1990, accepted_at_ms, 1 FROM payment;"
        )
        parameters = {"after_number": -1, "after_id": uid(0), "below": 2**62, "purge_id": uid(0), "events_max": 50}
        assert rows_read(connection, "feed", parameters) <= 52
        connection.execute("VACUUM ANALYZE")
        assert rows_read(connection, "feed", parameters) <= 52
        assert rows_read(connection, "feed", parameters | {"after_number": 2**61}) <= 2
        assert rows_read(connection, "newest_end", parameters) <= 4
