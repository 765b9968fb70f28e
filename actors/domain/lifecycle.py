"""The life of one payment inside a replica, as one state machine.

    held → claiming → charging → settling → settled

A payment is *claimed* by a row in Postgres that names the only processor that may have charged it, or none where it
is free. While it is unknown whether that processor charged it, the payment is *pinned* to it: no other processor may
see it. A payment that was ever sent to a processor is looked up there before it moves to another one.
"""

from dataclasses import dataclass
from enum import Enum
from math import inf
from typing import assert_never

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
from actors.domain.outcome import Outcome
from actors.domain.payment import Claim, Closing, EndState, Move, Payment, Settlement
from actors.domain.records import LookUpResult


class State(Enum):
    """What a payment waits for. The values are the names that metrics and documents use."""

    HELD = "held"
    """A processor that takes it."""
    CLAIMING = "claiming"
    """The commit of its row."""
    MOVING = "moving"
    """The commit that names another processor, or none."""
    CHARGING = "charging"
    """The end of an attempt to charge it."""
    LOOKING_UP = "looking up"
    """A processor's answer to whether it was charged there."""
    PAUSING = "pausing"
    """The end of a pause after a failure."""
    SETTLING = "settling"
    """The commit of its settlement."""
    CLOSING = "closing"
    """The commit of its end without a charge."""
    STRANDED = "stranded"
    """An operator: it may have been charged by a processor that is not configured any more."""
    SETTLED = "settled"
    """Nothing: its charge is recorded."""
    CLOSED = "closed"
    """Nothing: no processor charges it."""
    RELEASED = "released"
    """Nothing: another replica drives it, or another amount was first under its id."""


WRITING = frozenset({State.CLAIMING, State.MOVING, State.SETTLING, State.CLOSING})
"""States in which a payment waits for Postgres."""
IDLE = frozenset({State.HELD, State.PAUSING, State.STRANDED})
"""States in which nothing is under way for a payment."""
ENDING = frozenset({State.SETTLING, State.CLOSING})
"""States in which the payment's end is decided, and is being written together with the whole payment."""
ENDED = frozenset({State.SETTLED, State.CLOSED, State.RELEASED})


STUCK_S = 60.0
"""An operator may decide about a payment once its processor has told nothing for this time, or for a longer horizon."""


class Effect(Enum):
    """What has to be done after a transition."""

    NONE = "nothing"
    HOLD = "queue it until a processor takes it"
    HOLD_FIRST = "queue it before all others"
    CLAIM = "write its row"
    MOVE = "write that its row names another processor, or none"
    CHARGE = "send it to its processor"
    LOOK_UP = "ask a processor for it"
    PAUSE = "wait for a while"
    SETTLE = "write its settlement"
    CLOSE = "write that it ends without a charge"
    FORGET = "drop it: its life here has ended"


@dataclass(slots=True, eq=False)
class Lifecycle:
    """One payment, its state, and what is known of its attempts. Times are monotonic seconds."""

    payment: Payment
    state: State = State.HELD
    is_adopted: bool = False
    """Whether it was found in a row, rather than in the journal of this replica."""
    processor: str | None = None
    """The processor that was chosen last, or whose answer ended it; None where none is."""
    has_row: bool = False
    """Whether its row is committed, as far as is known."""
    row: str | None = None
    """The processor that its row names, also while the row is written anew; None where it names no processor."""
    moves: int = 0
    """How often the processor that its row names has changed."""
    attempts: int = 0
    failures_in_row: int = 0
    """Attempts and look-ups that failed since it was accepted or adopted; pauses grow with it."""
    failures_here: int = 0
    """Attempts in a row that failed on this processor while it worked for other payments."""
    unproven_since_s: float | None = None
    """Time of the last attempt that may have charged the payment; None unless it is pinned."""
    pinned_since_s: float | None = None
    unchecked: bool = False
    """Whether it was sent to the processor of its row, and not looked up there since; says nothing while pinned."""
    said_charged: bool = False
    """Whether that processor said that it charged the payment before."""
    mismatched_at: str | None = None
    """A processor that holds its id with another amount. It ends as mismatched, unless another processor charged it."""
    declined_by: frozenset[str] = frozenset()
    """Processors that it is never sent to again."""
    unasked: tuple[str, ...] = ()
    """Processors that still have to be asked for it before its next charge."""
    must_answer: bool = False
    """Whether each of these has to say that it does not know the payment; otherwise no answer counts as that."""
    doubted_since_s: float = -inf
    """Time from which they have to be asked: an answer proves nothing until a horizon later."""
    horizon_s: float = 0.0
    """How long after an attempt the processor that was asked last may still book it."""
    asked: str | None = None
    """The processor that is asked for it while it is looking up."""
    doubted: bool = False
    """Whether its row has to be written anew as soon as nothing is under way for it."""
    left: tuple[tuple[str, float], ...] = ()
    """Processors that it may have left, with their horizons in seconds: a late charge may turn up there."""
    end_state: EndState | None = None
    """How it ends while it is closing."""
    oldest_stamp_ms: int | None = None
    """The oldest stamp under which it may have been charged; None while it certainly was not."""
    answered_since_ms: int | None = None
    """The earliest instant at which a processor may have answered that it was charged; None where none has."""
    resolution: int = 0
    """The number of the operator's finding that was applied to it last; 0 where none was."""
    claimed_at_s: float | None = None
    """When its row was committed, if it was given to its processor at once; otherwise None."""
    steps: list[tuple[float, Event, bool, str | None]] | None = None
    """The steps that `actors.domain.histories` has noted; None while it has taken only the usual ones."""
    stamp_ms: int = 0
    """The stamp of the last attempt, or the one to be recorded while it is settling."""

    @property
    def pinned(self) -> bool:
        """Whether only the processor of its row may see it, which may have charged it."""
        return self.unproven_since_s is not None

    @property
    def pinned_at(self) -> str | None:
        """The only processor that may see it; None where it is free."""
        return self.row if self.unproven_since_s is not None else None

    @property
    def is_aside(self) -> bool:
        """Whether it waits for processors to answer, however long, so that it may not keep others out of memory."""
        return self.unproven_since_s is not None or (self.must_answer and bool(self.unasked))

    @property
    def must_be_looked_up(self) -> bool:
        """Whether it may not be charged by anybody before a processor has answered."""
        if not self.has_row:
            return False
        is_only_asked = self.said_charged or self.mismatched_at is not None or self.row in self.declined_by
        return bool(self.unasked) or (self.pinned and is_only_asked)

    @property
    def to_ask(self) -> str | None:
        """The processor that is asked for it next, where one has to be."""
        return self.unasked[0] if self.unasked else self.row

    @property
    def taking_room_at(self) -> str | None:
        """The processor at which it takes room; None where it takes none, or where its row is only written anew."""
        state = self.state
        if state is State.CHARGING:
            return self.processor
        return self.processor if state in (State.CLAIMING, State.MOVING) and self.processor != self.row else None

    def transition(self, event: Event, now_s: float) -> Effect:
        """Change the state by an event, and tell what has to be done; an event that comes too late changes nothing."""
        effect = self._react(event, now_s)
        if self.doubted and self.state in IDLE:
            return self._claim_anew()
        return effect

    def claim(self) -> Claim:
        """Give the row that is to be written while it is claiming."""
        assert self.state is State.CLAIMING
        return Claim(self.payment, self.processor, self.attempts, self.moves)

    def move(self) -> Move:
        """Give the change of its row while it is moving."""
        assert self.state is State.MOVING
        return Move(self.payment.correlation_id, self.processor, self.attempts, self.moves + 1)

    def settlement(self) -> Settlement:
        """Give the proof of its charge while it is settling."""
        assert self.state is State.SETTLING
        assert self.processor is not None
        assert self.answered_since_ms is not None, "only what a processor has answered is settled"
        return Settlement(self.payment, self.processor, self.stamp_ms, self.attempts, self.answered_since_ms)

    def closing(self, now_ms: int) -> Closing:
        """Give its end without a charge, at this instant of the wall clock, while it is closing."""
        assert self.state is State.CLOSING
        assert self.processor is not None
        assert self.end_state is not None
        return Closing(self.payment, self.end_state, self.processor, self.attempts, now_ms)

    def _react(self, event: Event, now_s: float) -> Effect:  # noqa: C901, PLR0911, PLR0912  # one line for each event
        match event:
            case Chosen(processor):
                return self._chosen(processor)
            case Claimed(down):
                return self._row_committed(State.CLAIMING, down)
            case ChargeEnded():
                return self._charge_ended(event, now_s)
            case Settled():
                return self._go(State.SETTLING, State.SETTLED, Effect.FORGET)
            case LookUpChosen():
                return self._look_up_chosen()
            case LookUpEnded():
                return self._look_up_ended(event)
            case Moved():
                return self._row_committed(State.MOVING)
            case ClaimRejected():
                return self._claim_rejected()
            case MoveRejected(processors):
                return self._move_rejected(processors, now_s)
            case Adopted():
                return self._adopted(event, now_s)
            case Replayed(processors, must_answer):
                return self._replayed(processors, now_s, must_answer=must_answer)
            case PerhapsForgotten(processors, since_s):
                return self._replayed(processors, since_s, must_answer=True)
            case RowDoubted(processors):
                return self._row_doubted(processors, now_s)
            case Unconfigured():
                return self._go(State.HELD, State.STRANDED, Effect.NONE)
            case DeclinedByAll():
                return self._declined_by_all()
            case PauseEnded(in_outage):
                if in_outage and self.state is State.PAUSING:
                    self.failures_here = 0
                return self._go(State.PAUSING, State.HELD, Effect.HOLD)
            case Resolved():
                return self._resolved(event)
            case Closed():
                return self._go(State.CLOSING, State.CLOSED, Effect.FORGET)
            case _:
                assert_never(event)

    def _go(self, before: State, after: State, effect: Effect) -> Effect:
        if self.state is not before:
            return Effect.NONE
        self.state = after
        return effect

    # Its row.

    def _chosen(self, processor: str | None) -> Effect:
        if self.state is not State.HELD:
            return Effect.NONE
        assert not self.must_be_looked_up, "nothing is charged before the processors have answered that have to"
        assert not self.pinned or processor == self.row, "a payment that may have been charged never moves"
        assert not self.unchecked or processor == self.row, "what was sent is looked up before it moves"
        assert processor not in self.declined_by, "a declined payment is never sent there again"
        if processor != self.processor:
            self.processor, self.failures_here = processor, 0
        if not self.has_row:
            assert processor is not None, "what no processor takes needs no row"
            return self._go(State.HELD, State.CLAIMING, Effect.CLAIM)
        if self.row != processor:
            return self._go(State.HELD, State.MOVING, Effect.MOVE)
        assert processor is not None
        self.state = State.CHARGING
        return Effect.CHARGE

    def _row_committed(self, before: State, down: frozenset[str] = frozenset()) -> Effect:
        if self.state is not before:
            return Effect.NONE
        self.has_row, self.row = True, self.processor
        if before is State.MOVING:
            self.moves += 1
        if self.unasked and not self.must_answer:
            self.unasked = tuple(name for name in self.unasked if name not in down)
        if self.row is None or self.must_be_looked_up:
            self.state = State.HELD
            return Effect.HOLD_FIRST
        self.state = State.CHARGING
        return Effect.CHARGE

    def _claim_rejected(self) -> Effect:
        if self.has_row or self.state not in {State.HELD, State.CLAIMING}:
            return Effect.NONE
        self.state = State.RELEASED
        return Effect.FORGET

    def _move_rejected(self, processors: tuple[str, ...], now_s: float) -> Effect:
        """Claim it anew: that finds out whether its row is another replica's, or is lost."""
        if self.state is not State.MOVING:
            return Effect.NONE
        self.state = State.HELD
        return self._row_doubted(processors, now_s)

    def _adopted(self, event: Adopted, now_s: float) -> Effect:
        if self.has_row or self.state not in {State.HELD, State.CLAIMING}:
            return Effect.NONE
        self.has_row = True
        if self.row is not None or self.moves:
            return self._row_found(event)
        self.processor = self.row = event.processor
        self.attempts, self.moves = event.attempts, event.moves
        if not self.must_answer:
            self.unasked = ()  # Its row proves which processor may have charged it.
        if self.row is not None:
            self.oldest_stamp_ms = event.oldest_stamp_ms
            # The replica that drove it before may have received the answer.
            self.answered_since_ms = event.oldest_stamp_ms
            self._pin(now_s)
        self.state = State.HELD
        return Effect.HOLD

    def _row_found(self, event: Adopted) -> Effect:
        """Keep what is known here, which is newer than its row: that was to be written anew, but was still there."""
        self.moves = max(self.moves, event.moves)
        self.processor = self.row
        if event.processor != self.row:
            self.state = State.MOVING
            return Effect.MOVE
        self.state = State.HELD
        return Effect.HOLD_FIRST

    def _replayed(self, processors: tuple[str, ...], since_s: float, *, must_answer: bool) -> Effect:
        if not self.has_row and self.state in {State.HELD, State.CLAIMING}:
            self._ask_everywhere(processors, since_s, must_answer=must_answer or self.must_answer)
        return Effect.NONE

    def _row_doubted(self, processors: tuple[str, ...], now_s: float) -> Effect:
        if self.state in ENDING | ENDED:
            return Effect.NONE
        self.doubted = self.has_row or self.state in WRITING
        self._ask_everywhere(processors, now_s, must_answer=True)
        return Effect.NONE

    def _ask_everywhere(self, processors: tuple[str, ...], since_s: float, *, must_answer: bool) -> None:
        self.unasked, self.must_answer = processors, must_answer
        if must_answer:
            self.doubted_since_s = since_s

    def _claim_anew(self) -> Effect:
        self.doubted = self.has_row = False
        self.processor = self.row
        self.state = State.CLAIMING
        return Effect.CLAIM

    # Its charges.

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
                self.said_charged = True
                self._pin(now_s)
                self._answered_at(event.answered_at_ms)
                return self._look_up(self.row)
            case Outcome.DECLINED:
                self.declined_by |= {self.row}
                self._pin(now_s)
            case Outcome.UNKNOWN | Outcome.MISCONFIGURED:
                self._pin(now_s)
            case Outcome.OVERLOADED | Outcome.FAILED:
                self.unchecked = True
                self._forget_stamp_unless_pinned()
            case Outcome.REFUSED:
                self._forget_stamp_unless_pinned()
            case _:
                assert_never(event.outcome)
        self.failures_here += 1
        return self._pause()

    def _pause(self) -> Effect:
        self.failures_in_row += 1
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
        self.unproven_since_s = now_s
        if self.pinned_since_s is None:
            self.pinned_since_s = now_s

    def _free(self) -> None:
        self.unproven_since_s = self.pinned_since_s = self.oldest_stamp_ms = self.answered_since_ms = None
        self.said_charged = False

    def _forget_stamp_unless_pinned(self) -> None:
        if not self.pinned:
            self.oldest_stamp_ms = None

    # Its look-ups.

    def _look_up_chosen(self) -> Effect:
        if self.state is not State.HELD:
            return Effect.NONE
        processor = self.to_ask
        assert processor is not None
        assert self.unasked or self.unchecked or self.pinned, "only a payment that may have been charged is looked up"
        return self._look_up(processor)

    def _look_up(self, processor: str) -> Effect:
        self.state, self.asked = State.LOOKING_UP, processor
        return Effect.LOOK_UP

    def _look_up_ended(self, event: LookUpEnded) -> Effect:
        if self.state is not State.LOOKING_UP or event.processor != self.asked:
            return Effect.NONE
        self.horizon_s = event.horizon_s
        match event.result:
            case LookUpResult.CHARGED:
                return self._settle_found(event.processor, event.requested_at_ms)
            case LookUpResult.MISSING | LookUpResult.NO_ANSWER | LookUpResult.MISMATCHED:
                return self._not_found(event)
            case _:
                assert_never(event.result)

    def _settle_found(self, processor: str, requested_at_ms: int | None) -> Effect:
        """Settle it by a charge that a look-up or an operator has found."""
        assert requested_at_ms is not None, "a charge bears an instant"
        self.processor, self.stamp_ms = processor, requested_at_ms
        self._charged_at(requested_at_ms)
        # Nobody knows when it was booked, so that it counts in summaries from its stamp on.
        self.answered_since_ms = requested_at_ms
        self.state = State.SETTLING
        return Effect.SETTLE

    def _not_found(self, event: LookUpEnded) -> Effect:
        """Follow a look-up in which a processor did not charge the payment, or did not answer."""
        here = event.processor == self.row
        # A processor that holds its id with another amount has not charged it, and never will.
        mismatched = event.result is LookUpResult.MISMATCHED
        if mismatched:
            self.mismatched_at = event.processor
        is_silent = event.result is LookUpResult.NO_ANSWER
        if here and (event.result is LookUpResult.MISSING or (is_silent and not self.said_charged)):
            # The replica that drove it before may have received an answer, which is lost and must not delay summaries.
            self.answered_since_ms = None
        since_s = self._in_doubt_since_s if here else self.doubted_since_s
        is_late = event.asked_at_s - since_s >= event.horizon_s
        proven = mismatched or (event.result is LookUpResult.MISSING and is_late)
        if here and self.pinned and proven:
            if self.said_charged:
                self.mismatched_at = event.processor
            if not mismatched:
                self._may_leave(event)
            self._free()
        elif here and self.unchecked and not self.pinned and is_silent:
            self._may_leave(event)
        self.unchecked = self.unchecked and not here
        if event.processor in self.unasked:
            others = tuple(name for name in self.unasked if name != event.processor)
            self.unasked = others if proven or not self.must_answer else (*others, event.processor)
        if self.pinned or (self.unasked and not proven and self.must_answer):
            return self._pause()
        if self.mismatched_at is not None and not self.unasked:
            return self._close(EndState.MISMATCHED, self.mismatched_at)
        self.state = State.HELD
        return Effect.HOLD_FIRST

    def _may_leave(self, event: LookUpEnded) -> None:
        """Note that it may move, so that its processor is asked once more after its end."""
        left_before = (each for each in self.left if each[0] != event.processor)
        self.left = (*left_before, (event.processor, event.horizon_s))

    def is_stuck(self, now_s: float) -> bool:
        """Tell whether no processor can be expected to answer any more, so that an operator may decide."""
        if self.state is State.STRANDED:
            return True
        return self.may_be_resolved and now_s - self._in_doubt_since_s >= max(STUCK_S, self.horizon_s)

    @property
    def _in_doubt_since_s(self) -> float:
        """Time of the last attempt or doubt after which its own processor may have charged it."""
        return (
            self.doubted_since_s if self.unproven_since_s is None else max(self.doubted_since_s, self.unproven_since_s)
        )

    @property
    def may_be_resolved(self) -> bool:
        """Whether an operator may decide about it: no answer that could contradict is under way."""
        return self.state is State.STRANDED or (self.is_aside and self.state in {State.HELD, State.PAUSING})

    def _resolved(self, event: Resolved) -> Effect:
        if not self.may_be_resolved:
            return Effect.NONE
        if event.charged_by is not None:
            return self._settle_found(event.charged_by, event.requested_at_ms)
        if self.row is not None:
            # A payment that was taken up again has no horizon yet.
            self.left = (*self.left, (self.row, max(STUCK_S, self.horizon_s)))
        self._free()
        self.unchecked = self.must_answer = False
        never_by = event.never_by if self.mismatched_at is None else event.never_by | {self.mismatched_at}
        self.unasked, self.mismatched_at, self.declined_by, self.processor = (), None, never_by, None
        self.state = State.MOVING if self.has_row else State.HELD
        return Effect.MOVE if self.has_row else Effect.HOLD

    # Its end without a charge.

    def _declined_by_all(self) -> Effect:
        if self.state is not State.HELD:
            return Effect.NONE
        assert not self.pinned, "a payment that may have been charged is not closed"
        assert self.declined_by, "what no processor has declined is not closed"
        if self.row is None:
            # An operator has ruled out the processor that holds its id, and no other one takes it.
            return self._close(EndState.MISMATCHED, min(self.declined_by))
        return self._close(EndState.DECLINED, self.row)

    def _close(self, end_state: EndState, processor: str) -> Effect:
        self.state, self.end_state, self.processor = State.CLOSING, end_state, processor
        return Effect.CLOSE
