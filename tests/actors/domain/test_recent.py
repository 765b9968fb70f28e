"""The latest payments are known by their amount, the oldest forgotten first."""

from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from actors.domain.recent import RecentPayments

SIZE_MAX = 4
IDS = tuple(UUID(int=number) for number in range(8))


def test_an_id_is_known_by_the_amount_that_it_came_with() -> None:
    recent = RecentPayments(2)
    recent.remember(IDS[0], 1990)
    assert (recent.amount_cents(IDS[0]), recent.amount_cents(IDS[1])) == (1990, None)


def test_the_oldest_is_forgotten_first_also_when_it_was_asked_for() -> None:
    recent = RecentPayments(2)
    recent.remember(IDS[0], 1)
    recent.remember(IDS[1], 2)
    assert recent.amount_cents(IDS[0]) == 1
    recent.remember(IDS[2], 3)
    assert [recent.amount_cents(known) for known in IDS[:3]] == [None, 2, 3]


def test_what_was_not_kept_makes_room() -> None:
    recent = RecentPayments(2)
    recent.remember(IDS[0], 1)
    recent.remember(IDS[1], 2)
    recent.forget(IDS[1])
    recent.remember(IDS[2], 3)
    assert [recent.amount_cents(known) for known in IDS[:3]] == [1, None, 3]


class AnyOrder(RuleBasedStateMachine):
    """Beside it stands a plain list of pairs."""

    def __init__(self) -> None:
        super().__init__()
        self.recent = RecentPayments(SIZE_MAX)
        self.pairs: list[tuple[UUID, int]] = []

    def unknown(self) -> list[UUID]:
        return [known for known in IDS if known not in dict(self.pairs)]

    @precondition(lambda self: self.unknown())
    @rule(data=st.data(), amount_cents=st.integers(1, 10**14))
    def remember(self, data: st.DataObject, amount_cents: int) -> None:
        correlation_id = data.draw(st.sampled_from(self.unknown()))
        self.recent.remember(correlation_id, amount_cents)
        self.pairs = [*self.pairs, (correlation_id, amount_cents)][-SIZE_MAX:]

    @rule(correlation_id=st.sampled_from(IDS))
    def forget(self, correlation_id: UUID) -> None:
        self.recent.forget(correlation_id)
        self.pairs = [pair for pair in self.pairs if pair[0] != correlation_id]

    @invariant()
    def it_knows_what_the_list_knows(self) -> None:
        assert [self.recent.amount_cents(known) for known in IDS] == [dict(self.pairs).get(known) for known in IDS]


AnyOrder.TestCase.settings = settings(deadline=None, max_examples=50)
TestAnyOrder = AnyOrder.TestCase
