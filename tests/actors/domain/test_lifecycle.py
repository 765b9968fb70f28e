"""A payment's life: every state answers every event, and the diagram in the documents is what the code does."""

import re
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain.lifecycle import ENDED, ENDING, Effect, Lifecycle, State
from actors.domain.lifecycle_events import (
    Adopted,
    ChargeEnded,
    Chosen,
    Claimed,
    ClaimRejected,
    Closed,
    DeclinedByAll,
    Event,
    LookUpChosen,
    LookUpEnded,
    Moved,
    MoveRejected,
    PauseEnded,
    Replayed,
    Resolved,
    RowDoubted,
    Settled,
    Unconfigured,
)
from actors.domain.outcome import Outcome
from actors.domain.payment import Claim, Closing, EndState, Move, Payment, Settlement
from actors.domain.records import LookUpResult

ID = UUID(int=1)
PAYMENT = Payment(ID, 1990, 1_750_000_000_000)
HORIZON_S = 30.0
NOW_S = 100.0
NAMES = ("default", "fallback")
ANSWER_MS = 1000
"""What a processor takes to answer."""
DOCUMENT = Path(__file__).parents[3] / "docs" / "architecture.md"


def ended(outcome: Outcome, stamp_ms: int = 7) -> ChargeEnded:
    return ChargeEnded(ID, outcome, stamp_ms, answered_at_ms=stamp_ms + ANSWER_MS)


def told(result: LookUpResult, asked_at_s: float = NOW_S, *, at: str = "default") -> LookUpEnded:
    return LookUpEnded(ID, at, result, None, asked_at_s, HORIZON_S)


def found(stamp_ms: int, *, at: str = "default") -> LookUpEnded:
    return LookUpEnded(ID, at, LookUpResult.CHARGED, stamp_ms, NOW_S, HORIZON_S)


def missing(asked_at_s: float = NOW_S, *, at: str = "default") -> LookUpEnded:
    return told(LookUpResult.MISSING, asked_at_s, at=at)


def silent(asked_at_s: float = NOW_S, *, at: str = "default") -> LookUpEnded:
    return told(LookUpResult.NO_ANSWER, asked_at_s, at=at)


RESUMED = PauseEnded(in_outage=False)


def life(*events: Event) -> Lifecycle:
    made = Lifecycle(PAYMENT)
    for event in events:
        made.transition(event, NOW_S)
    return made


AFTER_S = NOW_S + HORIZON_S
CHARGING = (Chosen("default"), Claimed())
FREE = (*CHARGING, ended(Outcome.REFUSED), RESUMED)
FAILED = (*CHARGING, ended(Outcome.FAILED), RESUMED)
PINNED = (*CHARGING, ended(Outcome.UNKNOWN), RESUMED)
DECLINED = (*CHARGING, ended(Outcome.DECLINED), RESUMED, LookUpChosen())
UNNAMED = (*FREE, Chosen(None), Moved())
CLAIMED_ANEW = (*PINNED, RowDoubted(NAMES))
ASKED_EVERYWHERE = (Replayed(NAMES, must_answer=False), *CHARGING, LookUpChosen())
MUST_ANSWER = (*CLAIMED_ANEW, Claimed(), LookUpChosen())
PATHS: dict[State, list[tuple[Event, ...]]] = {
    State.HELD: [(), FREE, FAILED, PINNED, UNNAMED, (*DECLINED, missing(AFTER_S)), (*CLAIMED_ANEW, Claimed())],
    State.CLAIMING: [
        (Chosen("default"),),
        (Chosen("default"), RowDoubted(NAMES)),
        CLAIMED_ANEW,
        (*UNNAMED, RowDoubted(NAMES)),
    ],
    State.MOVING: [(*FREE, Chosen("fallback")), (*FREE, Chosen(None)), (*UNNAMED, Chosen("default"))],
    State.CHARGING: [CHARGING, (*CHARGING, RowDoubted(NAMES))],
    State.LOOKING_UP: [
        (*PINNED, LookUpChosen()),
        (*FAILED, LookUpChosen()),
        (*FAILED, LookUpChosen(), RowDoubted(NAMES)),
        (*CHARGING, ended(Outcome.ALREADY_CHARGED)),
        DECLINED,
        ASKED_EVERYWHERE,
        MUST_ANSWER,
    ],
    State.PAUSING: [(*CHARGING, ended(Outcome.FAILED)), (*CHARGING, ended(Outcome.UNKNOWN))],
    State.SETTLING: [(*CHARGING, ended(Outcome.SETTLED))],
    State.CLOSING: [(*PINNED, LookUpChosen(), told(LookUpResult.MISMATCHED))],
    State.STRANDED: [(*PINNED, Unconfigured())],
    State.SETTLED: [(*CHARGING, ended(Outcome.SETTLED), Settled())],
    State.CLOSED: [(*PINNED, LookUpChosen(), told(LookUpResult.MISMATCHED), Closed())],
    State.RELEASED: [(Chosen("default"), ClaimRejected())],
}
EVENTS: list[Event] = [
    Chosen("default"),
    Chosen("fallback"),
    Chosen(None),
    LookUpChosen(),
    Claimed(),
    ClaimRejected(),
    Moved(),
    MoveRejected(NAMES),
    Adopted("default", 1, 0, 5),
    Adopted("fallback", 1, 1, 5),
    Adopted(None, 1, 2, 5),
    Replayed(NAMES, must_answer=False),
    Replayed(NAMES, must_answer=True),
    RowDoubted(NAMES),
    Unconfigured(),
    DeclinedByAll(),
    *(ended(outcome) for outcome in Outcome),
    *(found(3, at=name) for name in NAMES),
    *(told(LookUpResult.MISMATCHED, at=name) for name in NAMES),
    *(missing(asked_at_s, at=name) for name in NAMES for asked_at_s in (NOW_S, AFTER_S)),
    *(silent(at=name) for name in NAMES),
    RESUMED,
    Resolved("default", 3),
    Resolved("fallback", 3),
    Resolved(None, None),
    Resolved(None, None, frozenset({"default"})),
    Settled(),
    Closed(),
]


def may_come(subject: Lifecycle, event: Event) -> bool:  # noqa: PLR0911  # one line for each event
    """Tell whether the dispatcher gives this event to a payment in this state of knowledge."""
    if subject.state is not State.HELD:
        return True
    match event:
        case LookUpChosen():
            return subject.pinned or subject.unchecked or subject.must_be_looked_up
        case Chosen(None):
            return subject.row is not None and not (subject.pinned or subject.unchecked or subject.must_be_looked_up)
        case Chosen(processor):
            may_move = not subject.pinned and not subject.unchecked
            is_open = not subject.must_be_looked_up and processor not in subject.declined_by
            return is_open and (may_move or processor == subject.row)
        case DeclinedByAll():
            return not subject.pinned and subject.declined_by >= {subject.row or "default"}
        case Unconfigured():
            return subject.row is not None
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
    assert subject.settlement() == Settlement(PAYMENT, "default", 7, 1, 7 + ANSWER_MS)
    assert subject.transition(Settled(), NOW_S) is Effect.FORGET
    assert subject.state is State.SETTLED


def test_a_payment_that_was_not_sent_is_held_first_and_no_attempt_is_counted() -> None:
    subject = life(*CHARGING)
    assert subject.transition(ended(Outcome.NOT_SENT, 0), NOW_S) is Effect.HOLD_FIRST
    assert (subject.state, subject.attempts, subject.pinned) == (State.HELD, 0, False)


def test_a_free_payment_with_a_row_moves_by_a_commit_of_its_own() -> None:
    subject = life(*FREE)
    assert subject.transition(Chosen("fallback"), NOW_S) is Effect.MOVE
    assert subject.move() == Move(ID, "fallback", 1, 1)
    assert subject.row == "default"
    assert subject.transition(Moved(), NOW_S) is Effect.CHARGE
    assert subject.row == "fallback"


def test_every_change_of_the_processor_that_its_row_names_is_counted() -> None:
    subject = life(*UNNAMED)
    assert (subject.row, subject.moves, subject.state) == (None, 1, State.HELD)
    subject.transition(Chosen("default"), NOW_S)
    assert subject.move() == Move(ID, "default", 1, 2)
    assert subject.transition(Moved(), NOW_S) is Effect.CHARGE
    assert subject.moves == 2


def test_a_free_payment_is_charged_again_where_its_row_already_points() -> None:
    assert life(*FAILED).transition(Chosen("default"), NOW_S) is Effect.CHARGE


@pytest.mark.parametrize("outcome", [Outcome.OVERLOADED, Outcome.FAILED])
def test_what_was_sent_is_looked_up_before_it_moves_whatever_proves_that_it_was_not_charged(outcome: Outcome) -> None:
    path = (*CHARGING, ended(outcome), RESUMED)
    for processor in ("fallback", None):
        with pytest.raises(AssertionError, match="looked up before it moves"):
            life(*path).transition(Chosen(processor), NOW_S)
    for answer in (missing(NOW_S), silent()):
        subject = life(*path, LookUpChosen())
        assert subject.transition(answer, NOW_S) is Effect.HOLD_FIRST
        assert subject.transition(Chosen("fallback"), NOW_S) is Effect.MOVE
    subject = life(*path, LookUpChosen(), found(3))
    assert subject.settlement() == Settlement(PAYMENT, "default", 3, 1, 3)


@pytest.mark.parametrize("outcome", [Outcome.OVERLOADED, Outcome.FAILED])
def test_what_was_sent_and_had_no_answer_to_its_look_up_is_looked_up_after_its_end(outcome: Outcome) -> None:
    path = (*CHARGING, ended(outcome), RESUMED, LookUpChosen())
    assert life(*path, silent()).left == (("default", HORIZON_S),)
    assert life(*path, missing()).left == ()
    # What is asked elsewhere says nothing about it.
    assert life(*path, silent(at="fallback")).left == ()
    again = (Chosen("default"), ended(outcome), RESUMED, LookUpChosen(), silent())
    assert life(*path, silent(), *again).left == (("default", HORIZON_S),)


def test_what_was_sent_again_after_a_look_up_is_looked_up_again() -> None:
    subject = life(*FAILED, LookUpChosen(), missing(), Chosen("default"), ended(Outcome.FAILED), RESUMED)
    with pytest.raises(AssertionError, match="looked up before it moves"):
        subject.transition(Chosen("fallback"), NOW_S)


def test_what_was_sent_stays_to_be_looked_up_there_whatever_others_answer() -> None:
    subject = life(*FAILED, RowDoubted(("fallback", "default")), Claimed(), LookUpChosen(), missing(at="fallback"))
    assert subject.unchecked
    subject.transition(RESUMED, NOW_S)
    subject.transition(LookUpChosen(), NOW_S)
    subject.transition(missing(), NOW_S)
    assert not subject.unchecked


def test_what_was_refused_was_never_sent_and_moves_at_once() -> None:
    assert life(*FREE).transition(Chosen("fallback"), NOW_S) is Effect.MOVE


@pytest.mark.parametrize("outcome", [Outcome.DECLINED, Outcome.MISCONFIGURED, Outcome.UNKNOWN])
def test_an_answer_that_proves_nothing_pins_it(outcome: Outcome) -> None:
    subject = life(*CHARGING, ended(outcome, 7))
    assert (subject.state, subject.pinned, subject.oldest_stamp_ms) == (State.PAUSING, True, 7)


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.OVERLOADED, Outcome.FAILED])
def test_a_failure_after_an_unknown_outcome_leaves_it_pinned(outcome: Outcome) -> None:
    subject = life(*PINNED, Chosen("default"), ended(outcome))
    assert (subject.state, subject.pinned, subject.attempts) == (State.PAUSING, True, 2)
    assert subject.oldest_stamp_ms == 7


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.OVERLOADED, Outcome.FAILED])
def test_a_failure_that_charges_nothing_leaves_the_watermark(outcome: Outcome) -> None:
    assert life(*CHARGING, ended(outcome)).oldest_stamp_ms is None


def test_a_pinned_payment_cannot_move() -> None:
    for processor in ("fallback", None):
        with pytest.raises(AssertionError, match="never moves"):
            life(*PINNED).transition(Chosen(processor), NOW_S)


def test_nothing_is_sent_without_a_committed_row_that_names_the_processor() -> None:
    subject = life(*CHARGING)
    subject.row = "fallback"
    with pytest.raises(AssertionError, match="committed row"):
        subject.transition(ended(Outcome.SETTLED), NOW_S)


def test_a_stamp_never_falls() -> None:
    subject = life(*CHARGING, ended(Outcome.UNKNOWN, 9), RESUMED, Chosen("default"))
    with pytest.raises(AssertionError, match="never fall"):
        subject.transition(ended(Outcome.SETTLED, 8), NOW_S)


def test_a_payment_that_was_never_sent_is_not_looked_up() -> None:
    with pytest.raises(AssertionError, match="looked up"):
        life(*FREE).transition(LookUpChosen(), NOW_S)


def test_already_charged_is_looked_up_and_recorded_under_the_processors_own_instant() -> None:
    subject = life(*CHARGING)
    assert subject.transition(ended(Outcome.ALREADY_CHARGED, 9), NOW_S) is Effect.LOOK_UP
    assert subject.pinned
    assert subject.transition(found(3), NOW_S) is Effect.SETTLE
    assert subject.settlement() == Settlement(PAYMENT, "default", 3, 1, 3)


def test_a_missing_payment_is_free_only_after_the_horizon() -> None:
    subject = life(*PINNED, LookUpChosen())
    assert subject.transition(missing(AFTER_S - 0.001), NOW_S) is Effect.PAUSE
    assert subject.pinned
    subject.transition(RESUMED, NOW_S)
    subject.transition(LookUpChosen(), NOW_S)
    assert subject.transition(missing(AFTER_S), NOW_S) is Effect.HOLD_FIRST
    assert not subject.pinned
    assert subject.oldest_stamp_ms is None
    assert subject.left == (("default", HORIZON_S),)


def test_the_horizon_of_each_processor_counts_from_what_may_have_reached_it_last() -> None:
    # Its row was doubted while it was charged; the attempt itself ended later.
    subject = life(*CHARGING, RowDoubted(NAMES))
    subject.transition(ended(Outcome.UNKNOWN), NOW_S + 10)
    for event in (Claimed(), LookUpChosen(), missing(AFTER_S), RESUMED, LookUpChosen()):
        subject.transition(event, NOW_S)
    assert (subject.pinned, subject.unasked) == (True, ("fallback", "default"))
    subject.transition(missing(AFTER_S, at="fallback"), NOW_S)
    assert (subject.pinned, subject.unasked) == (True, ("default",))


def test_an_answer_that_is_handled_after_the_horizon_frees_nothing_where_it_was_asked_before() -> None:
    # The process stood still meanwhile, and the processor booked the payment.
    subject = life(*PINNED, LookUpChosen())
    assert subject.transition(missing(NOW_S), NOW_S + 10 * HORIZON_S) is Effect.PAUSE
    assert subject.pinned


def test_a_processor_that_does_not_answer_frees_nothing() -> None:
    subject = life(*PINNED, LookUpChosen())
    subject.transition(silent(NOW_S + 10 * HORIZON_S), NOW_S + 10 * HORIZON_S)
    assert subject.pinned


def test_a_processor_that_was_not_asked_frees_nothing() -> None:
    subject = life(*PINNED, LookUpChosen())
    assert subject.transition(missing(AFTER_S, at="fallback"), AFTER_S) is Effect.NONE
    assert (subject.state, subject.pinned) == (State.LOOKING_UP, True)


def test_a_declined_payment_is_only_looked_up_there_and_goes_elsewhere_after_the_horizon() -> None:
    subject = life(*CHARGING, ended(Outcome.DECLINED), RESUMED)
    with pytest.raises(AssertionError, match="answered"):
        subject.transition(Chosen("default"), NOW_S)
    subject.transition(LookUpChosen(), NOW_S)
    assert subject.transition(missing(AFTER_S), NOW_S) is Effect.HOLD_FIRST
    with pytest.raises(AssertionError, match="never sent there again"):
        subject.transition(Chosen("default"), NOW_S)
    assert subject.transition(Chosen("fallback"), NOW_S) is Effect.MOVE


def test_a_payment_that_all_have_declined_is_closed_and_leaves_the_watermark() -> None:
    subject = life(*DECLINED, missing(AFTER_S))
    assert subject.transition(DeclinedByAll(), NOW_S) is Effect.CLOSE
    assert subject.closing(8) == Closing(PAYMENT, EndState.DECLINED, "default", 1, 8)
    assert (subject.pinned, subject.oldest_stamp_ms) == (False, None)
    assert subject.transition(Closed(), NOW_S) is Effect.FORGET


def test_an_id_that_was_charged_with_another_amount_is_closed_at_once() -> None:
    subject = life(*CHARGING, ended(Outcome.ALREADY_CHARGED))
    assert subject.transition(told(LookUpResult.MISMATCHED), NOW_S) is Effect.CLOSE
    assert subject.closing(8) == Closing(PAYMENT, EndState.MISMATCHED, "default", 1, 8)
    assert (subject.pinned, subject.oldest_stamp_ms) == (False, None)


def test_a_pinned_payment_whose_id_another_one_holds_is_only_asked_for_where_it_may_have_been_charged() -> None:
    subject = life(*MUST_ANSWER, missing())
    for answer in (told(LookUpResult.MISMATCHED, at="fallback"), missing()):
        subject.transition(RESUMED, NOW_S)
        subject.transition(LookUpChosen(), NOW_S)
        assert subject.transition(answer, NOW_S) is Effect.PAUSE
    subject.transition(RESUMED, NOW_S)
    assert subject.must_be_looked_up
    subject.transition(LookUpChosen(), NOW_S)
    assert subject.transition(missing(AFTER_S), NOW_S) is Effect.CLOSE
    assert subject.closing(8) == Closing(PAYMENT, EndState.MISMATCHED, "fallback", 1, 8)


def test_an_operators_word_sends_a_payment_to_none_that_holds_its_id() -> None:
    subject = life(*MUST_ANSWER, missing(), RESUMED, LookUpChosen(), told(LookUpResult.MISMATCHED, at="fallback"))
    subject.transition(Resolved(None, None), NOW_S)
    assert subject.declined_by == {"fallback"}


def test_a_payment_that_was_charged_before_and_is_missing_is_closed_after_the_horizon_and_never_sent_again() -> None:
    subject = life(*CHARGING, ended(Outcome.ALREADY_CHARGED))
    assert subject.transition(missing(AFTER_S - 0.001), NOW_S) is Effect.PAUSE
    subject.transition(RESUMED, NOW_S)
    with pytest.raises(AssertionError, match="answered"):
        subject.transition(Chosen("default"), NOW_S)
    subject.transition(LookUpChosen(), NOW_S)
    assert subject.transition(missing(AFTER_S), NOW_S) is Effect.CLOSE
    assert subject.closing(8).state is EndState.MISMATCHED


def test_an_adopted_payment_may_have_been_charged_by_the_processor_that_its_row_names() -> None:
    subject = life()
    assert subject.transition(Adopted("fallback", 2, 1, 5), NOW_S) is Effect.HOLD
    assert (subject.row, subject.attempts, subject.oldest_stamp_ms, subject.pinned) == ("fallback", 2, 5, True)


def test_an_adopted_payment_whose_row_names_no_processor_is_free() -> None:
    subject = life()
    assert subject.transition(Adopted(None, 2, 3, 5), NOW_S) is Effect.HOLD
    assert (subject.pinned, subject.oldest_stamp_ms) == (False, None)
    assert subject.transition(Chosen("fallback"), NOW_S) is Effect.MOVE
    assert subject.move() == Move(ID, "fallback", 2, 4)


def test_the_failures_of_an_adopted_payment_count_from_its_first_attempt_here() -> None:
    adopted = life(Adopted("default", 5, 0, 0))
    assert (adopted.failures_here, adopted.failures_in_row) == (0, 0)
    for event in (Chosen("default"), ended(Outcome.REFUSED)):
        adopted.transition(event, NOW_S)
    assert (adopted.failures_here, adopted.failures_in_row) == (1, 1)


def test_its_own_row_of_an_earlier_run_makes_a_payment_adopted_while_it_is_claiming() -> None:
    subject = life(Chosen("default"), Adopted("fallback", 0, 0, 0))
    assert (subject.state, subject.processor, subject.pinned) == (State.HELD, "fallback", True)


def test_what_is_known_of_a_payment_is_not_overwritten_by_adopting_its_row_again() -> None:
    subject = life(*CHARGING)
    assert subject.transition(Adopted("fallback", 5, 0, 0), NOW_S) is Effect.NONE
    assert (subject.row, subject.attempts, subject.pinned) == ("default", 0, False)


def test_a_replayed_payment_without_a_row_is_asked_for_everywhere_before_its_first_charge() -> None:
    subject = life(Replayed(NAMES, must_answer=False), Chosen("default"))
    assert subject.transition(Claimed(), NOW_S) is Effect.HOLD_FIRST
    assert subject.must_be_looked_up
    assert subject.transition(LookUpChosen(), NOW_S) is Effect.LOOK_UP
    assert subject.asked == "default"
    subject.transition(silent(), NOW_S)
    subject.transition(LookUpChosen(), NOW_S)
    assert subject.asked == "fallback"
    assert subject.transition(found(3, at="fallback"), NOW_S) is Effect.SETTLE
    assert subject.settlement() == Settlement(PAYMENT, "fallback", 3, 0, 3)


def test_a_replayed_payment_that_is_known_nowhere_is_charged_at_once() -> None:
    subject = life(*ASKED_EVERYWHERE, missing(), LookUpChosen(), silent(at="fallback"))
    assert subject.transition(Chosen("default"), NOW_S) is Effect.CHARGE


def test_only_a_payment_that_waits_for_answers_however_long_is_set_aside() -> None:
    assert not life(Replayed(NAMES, must_answer=False)).is_aside
    subject = life(Replayed(NAMES, must_answer=True))
    assert subject.is_aside
    for event in (Chosen("default"), Claimed()):
        subject.transition(event, NOW_S)
    for name in NAMES:
        subject.transition(LookUpChosen(), NOW_S)
        subject.transition(missing(AFTER_S, at=name), NOW_S)
    assert not subject.is_aside


def test_processors_that_are_down_are_not_asked_for_a_replayed_payment() -> None:
    subject = life(Replayed(NAMES, must_answer=False), Chosen("default"))
    assert subject.transition(Claimed(frozenset(NAMES)), NOW_S) is Effect.CHARGE


def test_the_row_of_a_replayed_payment_proves_who_may_have_charged_it() -> None:
    subject = life(Replayed(NAMES, must_answer=False), Adopted(None, 0, 1, 0))
    assert subject.transition(Chosen("default"), NOW_S) is Effect.MOVE


def test_where_postgres_may_have_forgotten_all_processors_answer_a_horizon_later_before_the_first_charge() -> None:
    subject = life(Replayed(NAMES, must_answer=True), Chosen("default"), Claimed(frozenset(NAMES)), LookUpChosen())
    assert subject.transition(silent(AFTER_S), NOW_S) is Effect.PAUSE
    for answer in (missing(NOW_S, at="fallback"), missing(AFTER_S), silent(AFTER_S, at="fallback")):
        subject.transition(RESUMED, NOW_S)
        assert subject.must_be_looked_up
        subject.transition(LookUpChosen(), NOW_S)
        assert subject.asked == answer.processor
        subject.transition(answer, NOW_S)
    subject.transition(RESUMED, NOW_S)
    subject.transition(LookUpChosen(), NOW_S)
    assert subject.transition(missing(AFTER_S, at="fallback"), NOW_S) is Effect.HOLD_FIRST
    assert subject.transition(Chosen("fallback"), NOW_S) is Effect.MOVE


@pytest.mark.parametrize("path", [FREE, PINNED, UNNAMED, PATHS[State.PAUSING][1], PATHS[State.STRANDED][0]])
def test_a_row_that_may_be_lost_is_written_anew_with_what_is_known(path: tuple[Event, ...]) -> None:
    subject = life(*path)
    row, attempts, moves = subject.row, subject.attempts, subject.moves
    assert subject.transition(RowDoubted(NAMES), NOW_S) is Effect.CLAIM
    assert subject.claim() == Claim(PAYMENT, row, attempts, moves)
    assert subject.transition(Claimed(), NOW_S) is Effect.HOLD_FIRST
    assert subject.must_be_looked_up


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ((Chosen("default"),), Claimed()),
        ((*FREE, Chosen("fallback")), Moved()),
        ((*FREE, Chosen("fallback")), MoveRejected(NAMES)),
        (CHARGING, ended(Outcome.UNKNOWN)),
        (CHARGING, ended(Outcome.NOT_SENT)),
        (PATHS[State.LOOKING_UP][0], missing(AFTER_S)),
        (CLAIMED_ANEW, Claimed()),
    ],
)
def test_what_is_under_way_ends_before_its_row_is_written_anew_once(path: tuple[Event, ...], answer: Event) -> None:
    subject = life(*path)
    assert subject.transition(RowDoubted(NAMES), NOW_S) is Effect.NONE
    assert subject.transition(answer, NOW_S) is Effect.CLAIM
    assert subject.transition(Claimed(), NOW_S) in {Effect.CHARGE, Effect.HOLD_FIRST}


def test_a_charge_that_succeeds_is_settled_though_its_row_may_be_lost() -> None:
    subject = life(*CHARGING, RowDoubted(NAMES))
    assert subject.transition(ended(Outcome.SETTLED), NOW_S) is Effect.SETTLE


def test_a_row_that_is_found_when_it_is_written_anew_is_set_to_what_was_known_later() -> None:
    subject = life(*PINNED, RowDoubted(NAMES), Adopted("fallback", 0, 4, 0))
    assert (subject.state, subject.pinned) == (State.MOVING, True)
    assert subject.move() == Move(ID, "default", 1, 5)
    subject.transition(Moved(), NOW_S)
    assert (subject.row, subject.moves, subject.must_be_looked_up) == ("default", 5, True)
    same = life(*PINNED, RowDoubted(NAMES), Adopted("default", 0, 0, 0))
    assert (same.state, same.has_row, same.pinned) == (State.HELD, True, True)


def test_a_payment_without_a_row_may_have_been_charged_by_way_of_a_replica_that_nothing_is_left_of() -> None:
    subject = life(RowDoubted(NAMES), Chosen("default"))
    assert subject.transition(Claimed(), NOW_S) is Effect.HOLD_FIRST
    assert (subject.must_be_looked_up, subject.unasked) == (True, NAMES)


def test_a_rejected_move_leads_to_a_new_claim_that_tells_whose_the_row_is() -> None:
    subject = life(*FREE, Chosen("fallback"))
    assert subject.transition(MoveRejected(NAMES), NOW_S) is Effect.CLAIM
    assert subject.transition(ClaimRejected(), NOW_S) is Effect.FORGET
    lost = life(*FREE, Chosen("fallback"), MoveRejected(NAMES), Claimed())
    assert lost.must_be_looked_up


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
        lambda: life(*FREE, Chosen("fallback")),
        lambda: life(*FREE, Chosen(None)),
        lambda: life(*CLAIMED_ANEW),
    ]
    taken = [None, "default", "default", None, "fallback", None, None]
    assert [step().taking_room_at for step in steps] == taken


@pytest.mark.parametrize("state", [state for state in State if state in ENDING | ENDED])
def test_nothing_but_its_commit_changes_a_payment_whose_end_is_decided(state: State) -> None:
    for path in PATHS[state]:
        before = asdict(life(*path))
        for event in EVENTS:
            if event not in {Settled(), Closed()}:
                subject = life(*path)
                assert subject.transition(event, NOW_S) is Effect.NONE
                assert asdict(subject) == before


@pytest.mark.parametrize(
    "event", [ClaimRejected(), *(Replayed(NAMES, must_answer=must_answer) for must_answer in (False, True))]
)
def test_a_payment_with_a_row_is_not_changed_by_what_is_said_of_one_without(event: Event) -> None:
    for path in (path for paths in PATHS.values() for path in paths):
        subject = life(*path)
        if subject.has_row:
            before = asdict(subject)
            assert subject.transition(event, NOW_S) is Effect.NONE
            assert asdict(subject) == before


@given(st.lists(st.sampled_from(EVENTS), max_size=40))
def test_no_order_of_events_breaks_an_invariant(events: list[Event]) -> None:
    subject = life()
    for event in events:
        if not may_come(subject, event):
            continue
        before, effect = subject.state, subject.transition(event, NOW_S)
        assert subject.state is not State.CHARGING or subject.row == subject.processor
        assert subject.state is not State.LOOKING_UP or subject.asked in NAMES
        assert not subject.pinned or subject.row is not None
        assert subject.answered_since_ms is None or subject.oldest_stamp_ms is not None
        assert subject.oldest_stamp_ms is None or subject.pinned or subject.state in {State.SETTLING, State.SETTLED}
        assert not subject.doubted or subject.state not in {State.HELD, State.PAUSING, State.STRANDED}
        # Nothing is left in a state that nothing leads out of: whatever comes next was ordered.
        assert (effect is Effect.NONE) <= (subject.state in {before, State.STRANDED})


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


def test_an_adopted_payment_may_have_been_answered_since_its_oldest_stamp_until_it_was_asked_for() -> None:
    adopted = Adopted("default", attempts=1, moves=0, oldest_stamp_ms=5)
    assert life(adopted).answered_since_ms == 5
    assert life(adopted, LookUpChosen(), silent()).answered_since_ms is None
    assert life(adopted, LookUpChosen(), missing()).answered_since_ms is None


def test_the_states_have_the_names_that_metrics_and_documents_use() -> None:
    assert [state.value for state in State] == [
        "held",
        "claiming",
        "moving",
        "charging",
        "looking up",
        "pausing",
        "settling",
        "closing",
        "stranded",
        "settled",
        "closed",
        "released",
    ]
