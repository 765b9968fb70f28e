"""The life of one payment inside a replica, as one state machine.

    held → claiming → charging → settling → settled

A payment is *claimed* by a row in Postgres that names the only processor that may have been charged. While it is
unknown whether that processor charged it, the payment is *pinned* to it: no other processor may see it.
"""

from dataclasses import dataclass
from enum import Enum
from typing import assert_never

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


class State(Enum):
    """What a payment waits for. The values are the names that metrics and documents use."""

    HELD = "held"
    """A processor that takes it."""
    CLAIMING = "claiming"
    """The commit of the row that names its processor."""
    MOVING = "moving"
    """The commit that names another processor."""
    CHARGING = "charging"
    """The end of an attempt to charge it."""
    LOOKING_UP = "looking up"
    """The processor's answer to whether it was charged."""
    PAUSING = "pausing"
    """The end of a pause after a failure."""
    SETTLING = "settling"
    """The commit of its settlement."""
    STRANDED = "stranded"
    """An operator: it may have been charged by a processor that is not configured any more."""
    SETTLED = "settled"
    """Nothing: its charge is recorded."""
    RELEASED = "released"
    """Nothing: another replica drives it, or another amount was first under its id."""


AT_PROCESSOR = frozenset({State.CLAIMING, State.MOVING, State.CHARGING})
"""States in which a payment takes room at its processor."""
WRITING = frozenset({State.CLAIMING, State.MOVING, State.SETTLING})
"""States in which a payment waits for Postgres."""
ENDED = frozenset({State.SETTLED, State.RELEASED})


class Effect(Enum):
    """What has to be done after a transition."""

    NONE = "nothing"
    HOLD = "queue it until a processor takes it"
    HOLD_FIRST = "queue it before all others"
    CLAIM = "write its row"
    MOVE = "write that its row names another processor"
    CHARGE = "send it to its processor"
    LOOK_UP = "ask its processor for it"
    PAUSE = "wait for a while"
    SETTLE = "write its settlement"
    FORGET = "drop it: its life here has ended"


@dataclass(slots=True, eq=False)
class Lifecycle:
    """One payment, its state, and what is known of its attempts. Times are monotonic seconds."""

    payment: Payment
    horizon_s: float
    """How long after an attempt its processor may still book it: a 404 proves nothing before that."""
    state: State = State.HELD
    processor: str | None = None
    """The processor that was chosen last; None where none was chosen yet."""
    row: str | None = None
    """The processor that its committed row names; None while it has no row."""
    attempts: int = 0
    failures_in_row: int = 0
    """Attempts and look-ups that failed since it was accepted or adopted; pauses grow with it."""
    failures_here: int = 0
    """Attempts in a row that failed on this processor while it worked for others."""
    unknown_since_s: float | None = None
    """Time of the last attempt whose outcome is unknown; None unless the payment is pinned."""
    pinned_since_s: float | None = None
    oldest_stamp_ms: int | None = None
    """The oldest stamp under which it may have been charged; None while it certainly was not."""
    answered_since_ms: int | None = None
    """The earliest instant at which a processor may have answered that it was charged; None where none has."""
    stamp_ms: int = 0
    """The stamp of the last attempt, or the one to be recorded while it is settling."""

    @property
    def pinned(self) -> bool:
        """Whether only its own processor may see it."""
        return self.unknown_since_s is not None

    @property
    def taking_room_at(self) -> str | None:
        """The processor at which it takes room; None where it takes none."""
        return self.processor if self.state in AT_PROCESSOR else None

    def transition(self, event: Event, now_s: float) -> Effect:  # noqa: C901, PLR0911, PLR0912  # one line for each event
        """Change the state by an event, and tell what has to be done; an event that comes too late changes nothing."""
        match event:
            case Chosen(processor):
                return self._chosen(processor)
            case LookUpChosen():
                assert self.pinned, "only a payment that may have been charged is looked up"
                return self._go(State.HELD, State.LOOKING_UP, Effect.LOOK_UP)
            case Claimed():
                return self._row_committed(State.CLAIMING)
            case Moved():
                return self._row_committed(State.MOVING)
            case ClaimRejected():
                return self._claim_rejected()
            case MoveRejected():
                return self._go(State.MOVING, State.RELEASED, Effect.FORGET)
            case Adopted():
                return self._adopted(event, now_s)
            case Unconfigured():
                return self._go(State.HELD, State.STRANDED, Effect.NONE)
            case ChargeEnded():
                return self._charge_ended(event, now_s)
            case LookUpEnded():
                return self._look_up_ended(event)
            case PauseEnded(in_outage):
                if in_outage and self.state is State.PAUSING:
                    self.failures_here = 0
                return self._go(State.PAUSING, State.HELD, Effect.HOLD)
            case Settled():
                return self._go(State.SETTLING, State.SETTLED, Effect.FORGET)
            case _:
                assert_never(event)

    def claim(self) -> Claim:
        """Give the row that is to be written while it is claiming."""
        assert self.processor is not None
        return Claim(self.payment, self.processor, self.attempts)

    def move(self) -> Move:
        """Give the change of its row while it is moving."""
        assert self.processor is not None
        return Move(self.payment.correlation_id, self.processor, self.attempts)

    def settlement(self) -> Settlement:
        """Give the proof of its charge while it is settling."""
        assert self.state is State.SETTLING
        assert self.row is not None
        assert self.answered_since_ms is not None, "only what a processor has answered is settled"
        key = self.payment.correlation_id
        return Settlement(key, self.row, self.stamp_ms, self.attempts, self.answered_since_ms)

    def _go(self, before: State, after: State, effect: Effect) -> Effect:
        if self.state is not before:
            return Effect.NONE
        self.state = after
        return effect

    def _chosen(self, processor: str) -> Effect:
        if self.state is not State.HELD:
            return Effect.NONE
        assert not self.pinned or processor == self.row, "a payment that may have been charged never moves"
        if processor != self.processor:
            self.processor, self.failures_here = processor, 0
        if self.row is None:
            return self._go(State.HELD, State.CLAIMING, Effect.CLAIM)
        if self.row != processor:
            return self._go(State.HELD, State.MOVING, Effect.MOVE)
        self.state = State.CHARGING
        return Effect.CHARGE

    def _row_committed(self, before: State) -> Effect:
        if self.state is not before:
            return Effect.NONE
        assert not self.pinned, "nothing was sent yet"
        self.row, self.state = self.processor, State.CHARGING
        return Effect.CHARGE

    def _claim_rejected(self) -> Effect:
        if self.row is not None or self.state not in {State.HELD, State.CLAIMING}:
            return Effect.NONE
        self.state = State.RELEASED
        return Effect.FORGET

    def _adopted(self, event: Adopted, now_s: float) -> Effect:
        if self.row is not None or self.state not in {State.HELD, State.CLAIMING}:
            return Effect.NONE
        self.processor = self.row = event.processor
        self.attempts, self.oldest_stamp_ms = event.attempts, event.oldest_stamp_ms
        # Who drove it before may have had the answer.
        self.answered_since_ms = event.oldest_stamp_ms
        self._pin(now_s)
        self.state = State.HELD
        return Effect.HOLD

    def _charge_ended(self, event: ChargeEnded, now_s: float) -> Effect:
        if self.state is not State.CHARGING:
            return Effect.NONE
        assert self.row is not None
        assert self.row == self.processor, "nothing is sent without a committed row that names the processor"
        if event.outcome is Outcome.NOT_SENT:
            self.state = State.HELD
            return Effect.HOLD_FIRST
        assert event.requested_at_ms >= self.stamp_ms, "the stamps of one payment never fall"
        self.attempts += 1
        self.stamp_ms = event.requested_at_ms
        self._charged_at(event.requested_at_ms)
        match event.outcome:
            case Outcome.SETTLED:
                self.answered_since_ms = event.answered_at_ms
                self.state = State.SETTLING
                return Effect.SETTLE
            case Outcome.ALREADY_CHARGED:
                # It stays pinned until the processor has told the instant.
                self._pin(now_s)
                self._answered_at(event.answered_at_ms)
                self.state = State.LOOKING_UP
                return Effect.LOOK_UP
            case Outcome.UNKNOWN:
                self._pin(now_s)
            case Outcome.REFUSED | Outcome.OVERLOADED | Outcome.FAILED:
                if not self.pinned:
                    self._free()
            case _:
                assert_never(event.outcome)
        self.failures_in_row += 1
        self.failures_here += 1
        self.state = State.PAUSING
        return Effect.PAUSE

    def _look_up_ended(self, event: LookUpEnded) -> Effect:
        if self.state is not State.LOOKING_UP:
            return Effect.NONE
        assert self.unknown_since_s is not None
        if event.requested_at_ms is not None:
            self.stamp_ms, self.state = event.requested_at_ms, State.SETTLING
            self._charged_at(event.requested_at_ms)
            # Nobody knows when it was booked. It counts in every summary whose window ended by then.
            self.answered_since_ms = event.requested_at_ms
            return Effect.SETTLE
        self.failures_in_row += 1
        if event.answered:
            self.answered_since_ms = None
        if event.answered and event.asked_at_s - self.unknown_since_s >= self.horizon_s:
            self._free()
        self.state = State.PAUSING
        return Effect.PAUSE

    def _charged_at(self, stamp_ms: int) -> None:
        """Note a stamp under which it may have been charged; it may be older than what its row said."""
        if self.oldest_stamp_ms is None or stamp_ms < self.oldest_stamp_ms:
            self.oldest_stamp_ms = stamp_ms

    def _answered_at(self, at_ms: int) -> None:
        if self.answered_since_ms is None:
            self.answered_since_ms = at_ms

    def _pin(self, now_s: float) -> None:
        self.unknown_since_s = now_s
        if self.pinned_since_s is None:
            self.pinned_since_s = now_s

    def _free(self) -> None:
        self.unknown_since_s = self.pinned_since_s = self.oldest_stamp_ms = self.answered_since_ms = None
