"""The history of each payment: its steps through a replica, kept for a while for whoever asks for them."""

from dataclasses import dataclass
from typing import assert_never
from uuid import UUID

from actors.domain.lifecycle import Effect, Lifecycle, State
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
    PerhapsForgotten,
    Replayed,
    Resolved,
    RowDoubted,
    Settled,
    Unconfigured,
)

STEPS_MAX = 20
"""Steps that are kept of one payment: its first ones and its latest."""
ENDED_MAX = 500
"""The most ended payments that are remembered, of those that have taken more than the usual steps."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a payment's history."""

    at_s: float
    """Monotonic time."""
    what: str
    processor: str | None
    """The processor that it is about; None where it is about none."""


@dataclass(frozen=True, slots=True)
class ReplicaHistory:
    """The history of a payment through one replica."""

    steps: tuple[Step, ...] = ()
    """The steps that are remembered, the first one first."""
    waits_for: str | None = None
    """What the payment waits for now; None where this replica does not drive it."""

    def __bool__(self) -> bool:
        """Whether the replica has anything to tell."""
        return bool(self.steps or self.waits_for)


_Noted = tuple[float, Event, bool, str | None]
"""The time, the event, whether the payment was sent to a processor at once, and the processor that its row named."""
_SILENT = (Chosen, LookUpChosen, PauseEnded)
"""Events that are no steps of their own."""
_USUAL = (*_SILENT, Claimed, Settled)
"""Those, and the events that happen to every payment."""


class Histories:
    """The steps of all payments that have taken more than the usual ones, including the latest that have ended.

    Most payments are claimed, charged and settled at once. Of those only the instant of the claim is noted here, since
    Postgres has the others. Steps are put into words when somebody asks.
    """

    def __init__(self) -> None:
        self._ended: dict[UUID, list[_Noted]] = {}

    def note(self, life: Lifecycle, event: Event, effect: Effect, now_s: float) -> None:
        """Add a step, which the payment has just taken."""
        steps = life.steps
        if steps is None:
            if effect is Effect.CHARGE and isinstance(event, Claimed):
                life.claimed_at_s = now_s
            if isinstance(event, _USUAL) or (isinstance(event, ChargeEnded) and event.outcome.is_success):
                return
            steps = life.steps = _begun(life)
        is_sent = effect is Effect.CHARGE
        if isinstance(event, _SILENT) and not is_sent:
            return
        if len(steps) > 1 and not is_sent and _are_equal_look_ups(event, *(each[1] for each in steps[-2:])):
            # Of many equal ones in a row, the first and the last are told.
            del steps[-1]
        elif len(steps) >= STEPS_MAX:
            del steps[STEPS_MAX // 2]
        steps.append((now_s, event, is_sent, life.row))

    def ended(self, life: Lifecycle) -> None:
        """Keep the history of a payment that is driven no more, as long as not too many others end."""
        if life.steps is not None:
            key = life.payment.correlation_id
            self._ended[key] = (self._ended.pop(key, []) + life.steps)[-STEPS_MAX:]
            if len(self._ended) > ENDED_MAX:
                del self._ended[next(iter(self._ended))]

    def steps(self, key: UUID, life: Lifecycle | None) -> tuple[Step, ...]:
        """Tell the history of a payment, the first step first; `life` is None where it is not driven."""
        driven = [] if life is None else _begun(life) if life.steps is None else life.steps
        return tuple(step for each in (*self._ended.get(key, ()), *driven) for step in _told(each))


def _are_equal_look_ups(*events: Event) -> bool:
    first = events[0]
    return isinstance(first, LookUpEnded) and all(
        isinstance(each, LookUpEnded) and (each.processor, each.result) == (first.processor, first.result)
        for each in events
    )


def _begun(life: Lifecycle) -> list[_Noted]:
    """Begin the steps of a payment with its claim, where that is committed."""
    return [] if life.claimed_at_s is None else [(life.claimed_at_s, Claimed(), True, life.row)]


def waits_for(life: Lifecycle, held_because: str) -> str:  # noqa: PLR0911  # one line for each state
    """Say what a payment waits for; `held_because` is why payments like it are held."""
    match life.state:
        case State.HELD if life.pinned or life.must_be_looked_up:
            return f"an answer of {life.to_ask}, which may have charged it"
        case State.HELD:
            return held_because
        case State.CHARGING:
            return f"the end of its charge on {life.processor}"
        case State.LOOKING_UP:
            return f"an answer of {life.asked}, which is asked whether it has charged it"
        case State.PAUSING:
            return "the end of a pause after a failure"
        case State.STRANDED:
            return f"an operator: {life.row}, which may have charged it, is not configured"
        case _:
            return "a commit in Postgres"


def _told(noted: _Noted) -> list[Step]:
    at_s, event, is_sent, processor = noted
    told = [Step(at_s, *words)] if (words := _words(event, processor)) else []
    return [*told, Step(at_s, "given to its processor", processor)] if is_sent else told


def _words(event: Event, row: str | None) -> tuple[str, str | None] | None:  # noqa: C901, PLR0911, PLR0912  # one line for each event
    """Say what an event was, and of which processor; None where it is no step of its own."""
    match event:
        case Chosen() | LookUpChosen() | PauseEnded():
            return None
        case Claimed():
            return "claimed: its row is committed", row
        case Moved():
            return "moved: its row names another processor" if row else "freed: its row names no processor", row
        case ChargeEnded(_, outcome):
            return f"charge ended: {outcome.value}", row
        case LookUpEnded(_, processor, result):
            return f"looked up: {result.value}", processor
        case Adopted(processor):
            return "taken up from its row", processor
        case Replayed():
            return "taken up from a journal", None
        case PerhapsForgotten():
            return "posted after Postgres may have forgotten payments", None
        case RowDoubted():
            return "Postgres may have forgotten what became of it", row
        case ClaimRejected():
            return "left to another replica, which has its row", None
        case MoveRejected():
            return "its row could not be changed: another replica may have it", row
        case Unconfigured():
            return "stranded: its processor is not configured", row
        case DeclinedByAll():
            return "declined by every processor that takes it", None
        case Resolved(charged_by):
            return "an operator: charged" if charged_by else "an operator: not charged", charged_by
        case Settled():
            return "settled: its charge is recorded", row
        case Closed():
            return "ended without a charge", row
        case _:
            assert_never(event)
