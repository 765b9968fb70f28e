from collections.abc import Iterator

import pytest

from actors.domain.payment import Claim, Payment
from actors.domain.records import AdoptedClaims
from actors.domain.work import AdoptionRoom
from actors.errors import GatewayUnavailableError, JournalUnavailableError, LedgerUnavailableError
from actors.messages.intake import GetTakeOverRoom, TakeOver
from actors.messages.router import Adopt, BeginAdoption, EndAdoption
from actors.takeover import ADOPTED_AT_ONCE_MAX, TAKEN_AT_ONCE_MAX, Takeover
from ops.simulation.stores import MemoryLeases, MemoryPayments
from ops.simulation.tables import MemoryFence, MemoryTables
from tests.actors.fakes import NOW_MS, READING, Recorder, VirtualRuntime, both, payment
from tests.actors.fakes_journal import MemoryOrphan, MemoryShelf


class Intake(Recorder):
    """An intake that keeps what it takes over."""

    def __init__(self) -> None:
        super().__init__({GetTakeOverRoom: 10_000, TakeOver: True})
        self.room: int | None = None
        """For how many more payments there is room, where a test says so."""
        self.taken: list[tuple[Payment, ...]] = []

    def ask(self, message: object, timeout_s: float) -> object:
        if isinstance(message, GetTakeOverRoom) and self.room is not None:
            return self.room
        answer = super().ask(message, timeout_s)
        if isinstance(message, TakeOver) and answer:
            self.taken.append(message.payments)
            self.room = None if self.room is None else self.room - len(message.payments)
        return answer


class Replica:
    """What a takeover talks to. Replica 2 is gone, and has left rows."""

    def __init__(self, rows: int = 0) -> None:
        self.tables = MemoryTables()
        gone = MemoryFence("2")
        leases = MemoryLeases(self.tables, gone)
        epoch = leases.register(0, READING).epoch
        claims = [Claim(payment(number), "default") for number in range(rows)]
        MemoryPayments(self.tables, gone).write(claims, (), ())
        leases.retire(epoch, both(NOW_MS))
        self.leases = MemoryLeases(self.tables, MemoryFence("1"))
        self.leases.register(0, READING)
        self.router, self.intake, self.shelf = (
            Recorder({BeginAdoption: AdoptionRoom(10_000)}),
            Intake(),
            MemoryShelf(),
        )
        self.progress = 0
        self.takeover = Takeover(
            leases=self.leases,
            router=self.router,
            intake=self.intake,
            shelf=self.shelf,
            progressed=self.progressed,
            runtime=VirtualRuntime(),
        )

    def progressed(self) -> None:
        self.progress += 1

    def adopt(self) -> AdoptedClaims | None:
        """Adopt as many rows as the router has room for."""
        with self.takeover.adopting() as room:
            return self.takeover.adopt_rows(room)

    def leave(self, *numbers: int) -> MemoryOrphan:
        """Put a journal onto the shelf that nobody holds."""
        orphan = MemoryOrphan([payment(number) for number in numbers])
        self.shelf.unheld.append(orphan)
        return orphan

    def adopted(self) -> list[int]:
        """Tell how many rows the router was given each time."""
        return [len(message.claims) for message in self.router.messages if isinstance(message, Adopt)]


def test_rows_are_adopted_as_many_as_the_router_has_room_for() -> None:
    replica = Replica(rows=5)
    replica.router.answers[BeginAdoption] = AdoptionRoom(2)
    adopted = replica.adopt()
    assert adopted is not None
    assert replica.router.messages == [Adopt(adopted.claims, adopted.oldest_stamp_ms), EndAdoption()]
    assert replica.adopted() == [2]


def test_rows_that_name_a_processor_with_its_share_are_left_where_they_are() -> None:
    replica = Replica(rows=5)
    replica.router.answers[BeginAdoption] = AdoptionRoom(10, frozenset({"default"}))
    assert replica.adopt() is None
    assert {owned.owner for owned in replica.tables.claims.values()} == {"2"}


def test_one_statement_adopts_a_greatest_number_of_rows() -> None:
    replica = Replica(rows=ADOPTED_AT_ONCE_MAX + 1)
    while replica.adopt() is not None:
        pass
    assert replica.adopted() == [ADOPTED_AT_ONCE_MAX, 1]


@pytest.mark.parametrize("room", [AdoptionRoom(0), GatewayUnavailableError("planted")])
def test_nothing_is_adopted_while_the_router_has_no_room_or_does_not_answer(room: object) -> None:
    replica = Replica(rows=5)
    replica.router.answers[BeginAdoption] = room
    assert replica.adopt() is None
    assert {owned.owner for owned in replica.tables.claims.values()} == {"2"}


def test_where_nothing_was_left_the_router_is_told_nothing() -> None:
    replica = Replica()
    assert replica.adopt() is None
    assert replica.router.messages == [EndAdoption()]


def test_an_adoption_that_is_not_answered_is_reported() -> None:
    replica = Replica(rows=1)
    replica.leases.lost_answers = 1
    with pytest.raises(LedgerUnavailableError):
        replica.adopt()
    assert replica.router.messages == [EndAdoption()]


def test_a_journal_that_nobody_holds_is_copied_and_cleared() -> None:
    replica = Replica()
    orphan = replica.leave(1, 2)
    replica.takeover.adopt_journals(())
    assert replica.intake.taken == [(payment(1), payment(2))]
    assert (len(orphan.kept), orphan.closed) == (0, True)


@pytest.mark.parametrize("answer", [False, GatewayUnavailableError("planted")])
def test_a_journal_that_could_not_be_copied_is_left_as_it_is(answer: object) -> None:
    replica = Replica()
    orphan = replica.leave(1, 2)
    replica.intake.answers[TakeOver] = answer
    replica.takeover.adopt_journals(())
    assert (len(orphan.kept), orphan.closed, replica.progress) == (2, True, 0)


class UnlistedOrphan(MemoryOrphan):
    """A journal whose folder cannot be read."""

    def replay(self) -> Iterator[Payment]:
        raise JournalUnavailableError("planted")


def test_a_journal_that_cannot_be_read_keeps_no_other_from_being_copied() -> None:
    replica = Replica()
    unreadable = UnlistedOrphan([payment(9)])
    replica.shelf.unheld.append(unreadable)
    replica.leave(1, 2)
    replica.takeover.adopt_journals(())
    assert (replica.intake.taken, unreadable.closed) == ([(payment(1), payment(2))], True)


def test_a_long_journal_is_copied_in_parts_after_each_of_which_progress_is_told() -> None:
    replica = Replica()
    orphan = replica.leave(*range(2 * TAKEN_AT_ONCE_MAX + 1))
    replica.takeover.adopt_journals(())
    assert [len(part) for part in replica.intake.taken] == [TAKEN_AT_ONCE_MAX, TAKEN_AT_ONCE_MAX, 1]
    assert (replica.progress, orphan.kept) == (3, {})


def test_no_more_of_a_journal_is_copied_than_the_own_one_has_room_for_and_the_rest_stays_for_later() -> None:
    replica = Replica()
    orphan = replica.leave(*range(10))
    replica.intake.room = 4
    replica.takeover.adopt_journals(())
    replica.takeover.adopt_journals(())
    assert (replica.intake.taken, len(orphan.kept)) == ([tuple(map(payment, range(4)))], 6)
    replica.intake.room = 100
    replica.takeover.adopt_journals(())
    assert (replica.intake.taken[1:], orphan.kept) == ([tuple(map(payment, range(4, 10)))], {})


def test_a_journal_is_released_also_where_the_lease_is_lost_while_it_is_copied() -> None:
    replica = Replica()
    orphan = replica.leave(1)

    def lose() -> None:
        raise LedgerUnavailableError("planted")

    takeover = Takeover(
        leases=replica.leases,
        router=replica.router,
        intake=replica.intake,
        shelf=replica.shelf,
        progressed=lose,
        runtime=VirtualRuntime(),
    )
    with pytest.raises(LedgerUnavailableError):
        takeover.adopt_journals(())
    assert (len(orphan.kept), orphan.closed) == (0, True)


def test_all_journals_that_nobody_holds_are_copied_with_one_call() -> None:
    replica = Replica()
    orphans = [replica.leave(1), replica.leave(2)]
    replica.takeover.adopt_journals(())
    assert replica.intake.taken == [(payment(1),), (payment(2),)]
    assert [orphan.closed for orphan in orphans] == [True, True]


def test_the_shelf_is_told_who_is_gone() -> None:
    replica = Replica()
    replica.takeover.adopt_journals({"2"})
    assert replica.shelf.gone == ("2",)


class UnreadableOrphan(MemoryOrphan):
    """A journal whose second half cannot be read."""

    def replay(self) -> Iterator[Payment]:
        yield from list(self.kept.values())[: len(self.kept) // 2]
        raise JournalUnavailableError("planted")


def test_a_journal_that_cannot_be_read_to_its_end_is_left_as_it_is_and_released() -> None:
    replica = Replica()
    orphan = UnreadableOrphan([payment(1), payment(2)])
    replica.shelf.unheld.append(orphan)
    replica.takeover.adopt_journals(())
    assert (len(orphan.kept), orphan.closed) == (2, True)
