"""No order of outcomes and look-ups frees a payment that may have been charged, or holds one for ever."""

from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from actors.domain.life import Life, Next
from actors.domain.outcome import Outcome
from actors.domain.payment import Payment

HORIZON_S = 30.0
PAYMENT = Payment(UUID(int=1), 1990, 1_000)


@pytest.fixture
def life() -> Life:
    return Life(PAYMENT, "default")


def attempt(life: Life, outcome: Outcome, now_s: float = 0.0, stamp_ms: int = 2_000) -> Next:
    life.sent(stamp_ms)
    return life.ended(outcome, now_s)


def test_a_payment_that_was_never_sent_is_free(life: Life) -> None:
    assert (life.pinned, life.oldest_stamp_ms, life.attempts) == (False, None, 0)


@pytest.mark.parametrize(
    ("outcome", "expected", "pinned"),
    [
        (Outcome.SETTLED, Next.SETTLE, False),
        (Outcome.ALREADY_CHARGED, Next.LOOK_UP, True),
        (Outcome.REFUSED, Next.REROUTE, False),
        (Outcome.OVERLOADED, Next.REROUTE, False),
        (Outcome.FAILED, Next.REROUTE, False),
        (Outcome.UNKNOWN, Next.RETRY, True),
    ],
)
def test_a_first_outcome_means_what_the_table_says(
    life: Life,
    outcome: Outcome,
    expected: Next,
    pinned: bool,  # noqa: FBT001  # a column of the table
) -> None:
    assert attempt(life, outcome) is expected
    assert (life.pinned, life.attempts) == (pinned, 1)


def test_failures_on_one_processor_are_counted_until_it_moves_to_another(life: Life) -> None:
    for outcome in (Outcome.FAILED, Outcome.REFUSED, Outcome.OVERLOADED):
        attempt(life, outcome)
    assert (life.failures_here, life.failures_in_row) == (3, 3)
    life.moved("fallback")
    assert (life.processor, life.failures_here, life.failures_in_row) == ("fallback", 0, 3)


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.OVERLOADED, Outcome.FAILED])
def test_a_failure_proves_nothing_about_an_earlier_attempt(life: Life, outcome: Outcome) -> None:
    attempt(life, Outcome.UNKNOWN)
    assert attempt(life, outcome, now_s=10 * HORIZON_S) is Next.RETRY
    assert life.pinned


def test_a_missing_payment_proves_nothing_before_the_horizon(life: Life) -> None:
    attempt(life, Outcome.UNKNOWN, now_s=100.0)
    assert life.looked_up(missing=True, now_s=129.9, horizon_s=HORIZON_S) is Next.RETRY
    assert life.pinned
    assert life.looked_up(missing=True, now_s=130.0, horizon_s=HORIZON_S) is Next.REROUTE
    assert (life.pinned, life.oldest_stamp_ms) == (False, None)


def test_the_horizon_counts_from_the_last_unknown_attempt(life: Life) -> None:
    attempt(life, Outcome.UNKNOWN, now_s=100.0)
    attempt(life, Outcome.UNKNOWN, now_s=120.0)
    assert life.looked_up(missing=True, now_s=140.0, horizon_s=HORIZON_S) is Next.RETRY
    assert life.looked_up(missing=True, now_s=150.0, horizon_s=HORIZON_S) is Next.REROUTE


def test_a_look_up_without_an_answer_never_frees(life: Life) -> None:
    attempt(life, Outcome.UNKNOWN)
    assert life.looked_up(missing=False, now_s=1e9, horizon_s=HORIZON_S) is Next.RETRY
    assert life.pinned


def test_an_adopted_payment_may_have_been_charged(life: Life) -> None:
    life.adopted(100.0, 1_500)
    assert (life.pinned, life.oldest_stamp_ms) == (True, 1_500)
    assert attempt(life, Outcome.FAILED, now_s=110.0) is Next.RETRY
    assert life.looked_up(missing=True, now_s=120.0, horizon_s=HORIZON_S) is Next.RETRY
    assert life.looked_up(missing=True, now_s=130.0, horizon_s=HORIZON_S) is Next.REROUTE


def test_the_oldest_stamp_stays_until_the_charge_is_surely_not_booked(life: Life) -> None:
    attempt(life, Outcome.UNKNOWN, stamp_ms=2_000)
    attempt(life, Outcome.SETTLED, stamp_ms=3_000)
    assert life.oldest_stamp_ms == 2_000


def test_a_freed_payment_bears_the_stamp_of_its_next_attempt(life: Life) -> None:
    attempt(life, Outcome.REFUSED, stamp_ms=2_000)
    assert life.oldest_stamp_ms is None
    attempt(life, Outcome.UNKNOWN, stamp_ms=3_000)
    assert life.oldest_stamp_ms == 3_000


def test_failures_in_a_row_grow_with_attempts_and_look_ups(life: Life) -> None:
    attempt(life, Outcome.UNKNOWN)
    life.looked_up(missing=False, now_s=1.0, horizon_s=HORIZON_S)
    attempt(life, Outcome.FAILED)
    assert (life.failures_in_row, life.attempts) == (3, 2)


class AnyOrder(RuleBasedStateMachine):
    """What may have been charged is kept beside the life, by the design's table alone."""

    def __init__(self) -> None:
        super().__init__()
        self.life = Life(PAYMENT, "default")
        self.now_s = 1_000.0
        self.stamp_ms = 5_000
        self.sent = 0
        self.doubtful_stamps_ms: set[int] = set()
        """Under these it may have been charged, and nobody has told yet."""
        self.doubt_since_s = 0.0
        self.next = Next.REROUTE
        self.settled = False

    @initialize(adopted=st.booleans())
    def begin(self, adopted: bool) -> None:  # noqa: FBT001  # hypothesis calls it
        if adopted:
            self.life.adopted(self.now_s, self.stamp_ms)
            self.doubt(self.stamp_ms + 1)

    @rule(seconds=st.one_of(st.floats(0, 2 * HORIZON_S), st.sampled_from([HORIZON_S, 1e6])))
    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds
        self.stamp_ms += int(seconds * 1000)

    @precondition(lambda self: not self.settled and self.next in {Next.RETRY, Next.REROUTE})
    @rule(outcome=st.sampled_from(Outcome), seconds=st.floats(0, 10))
    def attempt(self, outcome: Outcome, seconds: float) -> None:
        self.stamp_ms += 1
        stamp_ms = self.stamp_ms
        self.life.sent(stamp_ms)
        self.sent += 1
        self.pass_time(seconds)
        self.next = self.life.ended(outcome, self.now_s)
        if outcome in {Outcome.SETTLED, Outcome.UNKNOWN, Outcome.ALREADY_CHARGED}:
            self.doubt(stamp_ms)
        self.settled = outcome is Outcome.SETTLED
        assert self.settled == (self.next is Next.SETTLE)
        assert (self.next is Next.LOOK_UP) == (outcome is Outcome.ALREADY_CHARGED)
        assert (self.next is Next.REROUTE) == (
            outcome in {Outcome.REFUSED, Outcome.OVERLOADED, Outcome.FAILED} and not self.doubtful_stamps_ms
        )

    @precondition(lambda self: not self.settled and self.life.pinned)
    @rule(missing=st.booleans())
    def look_up(self, missing: bool) -> None:  # noqa: FBT001  # hypothesis calls it
        proved = missing and self.now_s - self.doubt_since_s >= HORIZON_S
        self.next = self.life.looked_up(missing=missing, now_s=self.now_s, horizon_s=HORIZON_S)
        assert self.next is (Next.REROUTE if proved else Next.RETRY)
        if proved:
            self.doubtful_stamps_ms.clear()

    def doubt(self, stamp_ms: int) -> None:
        self.doubtful_stamps_ms.add(stamp_ms)
        self.doubt_since_s = self.now_s

    @invariant()
    def what_may_have_been_charged_is_pinned(self) -> None:
        if not self.settled:
            assert self.life.pinned == bool(self.doubtful_stamps_ms)

    @invariant()
    def no_possible_charge_bears_an_older_stamp(self) -> None:
        if self.doubtful_stamps_ms:
            assert self.life.oldest_stamp_ms is not None
            assert self.life.oldest_stamp_ms <= min(self.doubtful_stamps_ms)
        else:
            assert self.life.oldest_stamp_ms is None

    @invariant()
    def it_knows_its_payment_and_its_attempts(self) -> None:
        assert (self.life.payment, self.life.processor, self.life.attempts) == (PAYMENT, "default", self.sent)


AnyOrder.TestCase.settings = settings(deadline=None, max_examples=100, stateful_step_count=30)
TestAnyOrder = AnyOrder.TestCase
