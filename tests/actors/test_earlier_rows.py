"""Each row of an earlier run is taken up once, and none keeps those behind it waiting."""

from collections.abc import Sequence
from random import Random
from uuid import UUID

import pytest

from actors.domain.payment import Claim
from actors.domain.work import AdoptionRoom
from actors.earlier_rows import EarlierRows
from actors.errors import LedgerUnavailableError
from actors.messages.router import Adopt
from ops.simulation.stores import MemoryLeases, MemoryPayments
from ops.simulation.tables import MemoryFence, MemoryTables
from tests.actors.fakes import NOW_MS, READING, Recorder, VirtualRuntime, payment

ALL = AdoptionRoom(1000)


class Rows:
    """Rows that an earlier run has left, and a replica that begins to take them up."""

    def __init__(self, named: Sequence[str | None]) -> None:
        self.claims = [Claim(payment(number), name) for number, name in enumerate(named)]
        tables, before = MemoryTables(), MemoryFence("1")
        MemoryLeases(tables, before).register(0, READING)
        MemoryPayments(tables, before).write(self.claims, (), ())
        self.leases, self.router = MemoryLeases(tables, MemoryFence("1")), Recorder()
        self.leases.register(0, READING)
        self.rows = EarlierRows(self.leases, self.router, VirtualRuntime())
        self.rows.begin(NOW_MS - 500)

    def take_up(self, room: AdoptionRoom) -> list[UUID]:
        """Name the payments that the router is given."""
        told = len(self.router.messages)
        count = self.rows.take_up(room)
        adopted = [each for each in self.router.messages[told:] if isinstance(each, Adopt)]
        assert {each.oldest_stamp_ms for each in adopted} <= {NOW_MS - 500}
        keys = [claim.payment.correlation_id for each in adopted for claim in each.claims]
        assert len(keys) == count
        return keys

    def naming(self, *names: str | None) -> list[UUID]:
        """Name the payments whose rows name one of these."""
        return [each.payment.correlation_id for each in self.claims if each.processor in names]


def test_rows_are_taken_up_the_oldest_first_as_many_as_there_is_room_for() -> None:
    rows = Rows(["default"] * 7)
    pages = [rows.take_up(AdoptionRoom(3)) for _ in range(4)]
    assert pages == [rows.naming("default")[:3], rows.naming("default")[3:6], rows.naming("default")[6:], []]
    assert rows.rows.since_ms is None


def test_rows_that_are_full_keep_no_others_waiting_and_hold_the_oldest_stamp_until_they_are_taken_up() -> None:
    rows = Rows([*["default"] * 6, None, "fallback", "default", "gone"])
    assert rows.take_up(AdoptionRoom(2)) == rows.naming("default")[:2]
    away = frozenset({"default", "gone"})
    assert rows.take_up(AdoptionRoom(100, away)) == rows.naming(None, "fallback")
    assert rows.take_up(AdoptionRoom(100, away)) == []
    assert rows.rows.since_ms == NOW_MS - 500
    assert rows.take_up(AdoptionRoom(100, frozenset({"gone"}))) == rows.naming("default")[2:]
    assert rows.take_up(ALL) == rows.naming("gone")
    assert rows.rows.since_ms is None


def test_each_row_is_taken_up_once_whichever_are_full_meanwhile() -> None:
    rng, names = Random(1), ("default", "fallback", "gone", None)
    rows = Rows([rng.choice(names) for _ in range(300)])
    taken: list[UUID] = []
    for _ in range(200):
        full = frozenset(name for name in names if name is not None and rng.random() < 0.4)
        taken += rows.take_up(AdoptionRoom(rng.randrange(20), full))
    taken += rows.take_up(ALL)
    assert sorted(taken) == sorted(rows.naming(*names))
    assert rows.rows.since_ms is None


def test_what_could_not_be_read_is_read_by_a_later_call() -> None:
    rows = Rows(["default"] * 3)
    rows.leases.failures = 1
    with pytest.raises(LedgerUnavailableError):
        rows.take_up(ALL)
    assert rows.rows.since_ms == NOW_MS - 500
    assert rows.take_up(ALL) == rows.naming("default")


def test_who_begins_again_reads_all_rows_again() -> None:
    rows = Rows([None] * 3)
    rows.take_up(AdoptionRoom(100, frozenset({"default"})))
    rows.rows.begin(NOW_MS - 500)
    assert rows.take_up(ALL) == rows.naming(None)
