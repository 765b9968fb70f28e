"""A payment's life: every state answers every event, and the diagram in the documents is what the code does."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain.lifecycle import Effect, Lifecycle, State
from actors.domain.lifecycle_events import (
    Adopted,
    ChargeEnded,
    Chosen,
    Claimed,
    ClaimRejected,
    Event,
    LookUpChosen,
    LookUpEnded,
    Moved,
    MoveRejected,
    PauseEnded,
    Settled,
    Unconfigured,
)
from actors.domain.outcome import Outcome
from actors.domain.payment import Claim, Move, Payment, Settlement

ID = UUID(int=1)
PAYMENT = Payment(ID, 1990, 1_750_000_000_000)
HORIZON_S = 30.0
NOW_S = 100.0
ANSWER_MS = 1000
"""What a processor takes to answer."""
DOCUMENT = Path(__file__).parents[3] / "docs" / "architecture.md"


def ended(outcome: Outcome, stamp_ms: int = 7) -> ChargeEnded:
    return ChargeEnded(ID, outcome, stamp_ms, answered_at_ms=stamp_ms + ANSWER_MS)


def found(stamp_ms: int) -> LookUpEnded:
    return LookUpEnded(ID, answered=True, requested_at_ms=stamp_ms, asked_at_s=NOW_S)


def missing(asked_at_s: float = NOW_S) -> LookUpEnded:
    return LookUpEnded(ID, answered=True, requested_at_ms=None, asked_at_s=asked_at_s)


def silent(asked_at_s: float = NOW_S) -> LookUpEnded:
    return LookUpEnded(ID, answered=False, requested_at_ms=None, asked_at_s=asked_at_s)


RESUMED = PauseEnded(in_outage=False)


def life(*events: Event) -> Lifecycle:
    made = Lifecycle(PAYMENT, HORIZON_S)
    for event in events:
        made.transition(event, NOW_S)
    return made


CHARGING = (Chosen("default"), Claimed())
PINNED = (*CHARGING, ended(Outcome.UNKNOWN), RESUMED)
PATHS: dict[State, list[tuple[Event, ...]]] = {
    State.HELD: [(), (*CHARGING, ended(Outcome.FAILED), RESUMED), PINNED],
    State.CLAIMING: [(Chosen("default"),)],
    State.MOVING: [(*CHARGING, ended(Outcome.FAILED), RESUMED, Chosen("fallback"))],
    State.CHARGING: [CHARGING],
    State.LOOKING_UP: [(*PINNED, LookUpChosen())],
    State.PAUSING: [(*CHARGING, ended(Outcome.FAILED)), (*CHARGING, ended(Outcome.UNKNOWN))],
    State.SETTLING: [(*CHARGING, ended(Outcome.SETTLED))],
    State.STRANDED: [(*PINNED, Unconfigured())],
    State.SETTLED: [(*CHARGING, ended(Outcome.SETTLED), Settled())],
    State.RELEASED: [(Chosen("default"), ClaimRejected())],
}
EVENTS: list[Event] = [
    Chosen("default"),
    Chosen("fallback"),
    LookUpChosen(),
    Claimed(),
    ClaimRejected(),
    Moved(),
    MoveRejected(),
    Adopted("default", 1, 5),
    Unconfigured(),
    *(ended(outcome) for outcome in Outcome),
    found(3),
    missing(),
    silent(),
    RESUMED,
    Settled(),
]


def may_come(subject: Lifecycle, event: Event) -> bool:
    """Tell whether the dispatcher gives this event to a payment in this state of knowledge."""
    match event:
        case LookUpChosen():
            return subject.pinned
        case Chosen(processor):
            return not subject.pinned or processor == subject.row
        case _:
            return True


def transitions() -> Iterator[tuple[str, str]]:
    """Give every change of state that some event causes."""
    for state, paths in PATHS.items():
        for path in paths:
            assert life(*path).state is state
            for event in EVENTS:
                subject = life(*path)
                if not may_come(subject, event):
                    continue
                subject.transition(event, NOW_S)
                if subject.state is not state:
                    yield state.value, subject.state.value


def test_there_is_a_path_to_every_state() -> None:
    assert set(PATHS) == set(State)


def test_the_diagram_in_the_documents_shows_every_change_of_state_and_no_other() -> None:
    diagram = DOCUMENT.read_text().partition("stateDiagram-v2")[2].partition("```")[0]
    names = {state.value.replace(" ", "_"): state.value for state in State}
    drawn = {
        (names[before], names[after]) for before, after in re.findall(r"^\s+(\w+) --> (\w+)", diagram, re.MULTILINE)
    }
    assert drawn == set(transitions())


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_every_state_answers_every_event(state: State, event: Event) -> None:
    for path in PATHS[state]:
        subject = life(*path)
        if not may_come(subject, event):
            continue
        before = subject.state
        effect = subject.transition(event, NOW_S)
        assert isinstance(effect, Effect)
        assert (effect is Effect.NONE) <= (subject.state in {before, State.STRANDED})


def test_the_common_way_claims_charges_and_settles() -> None:
    subject = life()
    assert subject.transition(Chosen("default"), NOW_S) is Effect.CLAIM
    assert subject.claim() == Claim(PAYMENT, "default")
    assert subject.transition(Claimed(), NOW_S) is Effect.CHARGE
    assert subject.transition(ended(Outcome.SETTLED, 7), NOW_S) is Effect.SETTLE
    assert subject.settlement() == Settlement(ID, "default", 7, 1, 7 + ANSWER_MS)
    assert subject.transition(Settled(), NOW_S) is Effect.FORGET
    assert subject.state is State.SETTLED


def test_a_payment_that_was_not_sent_is_held_first_and_no_attempt_is_counted() -> None:
    subject = life(*CHARGING)
    assert subject.transition(ended(Outcome.NOT_SENT, 0), NOW_S) is Effect.HOLD_FIRST
    assert (subject.state, subject.attempts, subject.pinned) == (State.HELD, 0, False)


def test_a_free_payment_with_a_row_moves_by_a_commit_of_its_own() -> None:
    subject = life(*CHARGING, ended(Outcome.FAILED), RESUMED)
    assert subject.transition(Chosen("fallback"), NOW_S) is Effect.MOVE
    assert subject.move() == Move(ID, "fallback", 1)
    assert subject.row == "default"
    assert subject.transition(Moved(), NOW_S) is Effect.CHARGE
    assert subject.row == "fallback"


def test_a_free_payment_is_charged_again_where_its_row_already_points() -> None:
    assert life(*CHARGING, ended(Outcome.FAILED), RESUMED).transition(Chosen("default"), NOW_S) is Effect.CHARGE


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.OVERLOADED, Outcome.FAILED])
def test_a_failure_after_an_unknown_outcome_leaves_it_pinned(outcome: Outcome) -> None:
    subject = life(*PINNED, Chosen("default"), ended(outcome))
    assert (subject.state, subject.pinned, subject.attempts) == (State.PAUSING, True, 2)


def test_a_pinned_payment_cannot_move() -> None:
    with pytest.raises(AssertionError, match="never moves"):
        life(*PINNED).transition(Chosen("fallback"), NOW_S)


def test_nothing_is_sent_without_a_committed_row_that_names_the_processor() -> None:
    subject = life(*CHARGING)
    subject.row = "fallback"
    with pytest.raises(AssertionError, match="committed row"):
        subject.transition(ended(Outcome.SETTLED), NOW_S)


def test_a_stamp_never_falls() -> None:
    subject = life(*CHARGING, ended(Outcome.UNKNOWN, 9), RESUMED, Chosen("default"))
    with pytest.raises(AssertionError, match="never fall"):
        subject.transition(ended(Outcome.SETTLED, 8), NOW_S)


def test_a_free_payment_is_not_looked_up() -> None:
    with pytest.raises(AssertionError, match="looked up"):
        life().transition(LookUpChosen(), NOW_S)


def test_already_charged_is_looked_up_and_recorded_under_the_processors_own_instant() -> None:
    subject = life(*CHARGING)
    assert subject.transition(ended(Outcome.ALREADY_CHARGED, 9), NOW_S) is Effect.LOOK_UP
    assert subject.pinned
    assert subject.transition(found(3), NOW_S) is Effect.SETTLE
    assert subject.settlement() == Settlement(ID, "default", 3, 1, 3)


def test_a_missing_payment_is_free_only_after_the_horizon() -> None:
    subject = life(*PINNED, LookUpChosen())
    assert subject.transition(missing(NOW_S + HORIZON_S - 0.001), NOW_S) is Effect.PAUSE
    assert subject.pinned
    subject.transition(RESUMED, NOW_S)
    subject.transition(LookUpChosen(), NOW_S)
    assert subject.transition(missing(NOW_S + HORIZON_S), NOW_S) is Effect.PAUSE
    assert not subject.pinned
    assert subject.oldest_stamp_ms is None


def test_an_answer_that_is_handled_after_the_horizon_frees_nothing_where_it_was_asked_before() -> None:
    # The process stood still meanwhile, and the processor booked the payment.
    subject = life(*PINNED, LookUpChosen())
    assert subject.transition(missing(NOW_S), NOW_S + 10 * HORIZON_S) is Effect.PAUSE
    assert subject.pinned


def test_a_processor_that_does_not_answer_frees_nothing() -> None:
    subject = life(*PINNED, LookUpChosen())
    subject.transition(silent(NOW_S + 10 * HORIZON_S), NOW_S + 10 * HORIZON_S)
    assert subject.pinned


def test_an_adopted_payment_may_have_been_charged_by_its_processor() -> None:
    subject = life()
    assert subject.transition(Adopted("fallback", 2, 5), NOW_S) is Effect.HOLD
    assert (subject.row, subject.attempts, subject.oldest_stamp_ms, subject.pinned) == ("fallback", 2, 5, True)


def test_its_own_row_of_an_earlier_run_makes_a_payment_adopted_while_it_is_claiming() -> None:
    subject = life(Chosen("default"), Adopted("fallback", 0, 0))
    assert (subject.state, subject.processor, subject.pinned) == (State.HELD, "fallback", True)


def test_what_is_known_of_a_payment_is_not_overwritten_by_adopting_its_row_again() -> None:
    subject = life(*CHARGING)
    assert subject.transition(Adopted("fallback", 5, 0), NOW_S) is Effect.NONE
    assert (subject.row, subject.attempts, subject.pinned) == ("default", 0, False)


def test_the_oldest_stamp_is_the_first_one_since_it_was_certainly_not_charged() -> None:
    subject = life(*CHARGING, ended(Outcome.UNKNOWN, 7), RESUMED, Chosen("default"), ended(Outcome.UNKNOWN, 9))
    assert (subject.oldest_stamp_ms, subject.stamp_ms) == (7, 9)


def test_failures_in_an_outage_say_nothing_about_the_payment() -> None:
    subject = life(*CHARGING, ended(Outcome.FAILED), PauseEnded(in_outage=True))
    assert (subject.failures_here, subject.failures_in_row) == (0, 1)


def test_it_takes_room_at_its_processor_from_its_claim_to_the_end_of_its_charge() -> None:
    steps: list[Callable[[], Lifecycle]] = [
        life,
        lambda: life(Chosen("default")),
        lambda: life(*CHARGING),
        lambda: life(*CHARGING, ended(Outcome.SETTLED)),
    ]
    assert [step().taking_room_at for step in steps] == [None, "default", "default", None]


@given(st.lists(st.sampled_from(EVENTS), max_size=40))
def test_no_order_of_events_breaks_an_invariant(events: list[Event]) -> None:
    subject = life()
    for event in events:
        if not may_come(subject, event):
            continue
        subject.transition(event, NOW_S)
        assert subject.state not in {State.CHARGING, State.SETTLING} or subject.row == subject.processor
        assert not subject.pinned or subject.row is not None


def test_what_a_processor_answered_is_told_from_its_answer_until_the_settlement_is_committed() -> None:
    subject = life(Chosen("default"), Claimed())
    assert subject.answered_since_ms is None
    subject.transition(ended(Outcome.SETTLED, 7), NOW_S)
    assert subject.answered_since_ms == subject.settlement().answered_at_ms == 7 + ANSWER_MS


def test_an_unknown_outcome_is_no_answer() -> None:
    assert life(Chosen("default"), Claimed(), ended(Outcome.UNKNOWN)).answered_since_ms is None


def test_a_charge_that_was_made_before_is_answered_when_that_is_told_and_booked_since_its_own_instant() -> None:
    subject = life(Chosen("default"), Claimed(), ended(Outcome.UNKNOWN), RESUMED, Chosen("default"))
    subject.transition(ended(Outcome.ALREADY_CHARGED, 9), NOW_S)
    assert subject.answered_since_ms == 9 + ANSWER_MS
    subject.transition(silent(), NOW_S)
    assert subject.answered_since_ms == 9 + ANSWER_MS
    subject.transition(RESUMED, NOW_S)
    subject.transition(LookUpChosen(), NOW_S)
    subject.transition(found(7), NOW_S)
    assert subject.answered_since_ms == subject.settlement().answered_at_ms == 7


def test_an_adopted_payment_may_have_been_answered_since_its_oldest_stamp_until_it_is_not_found() -> None:
    adopted = Adopted("default", attempts=1, oldest_stamp_ms=5)
    assert life(adopted, LookUpChosen(), silent()).answered_since_ms == 5
    assert life(adopted, LookUpChosen(), missing()).answered_since_ms is None
