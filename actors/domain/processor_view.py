"""What the router knows of one processor: what its charge gate announces, what was given, and whether it answers."""

from dataclasses import dataclass
from math import inf

from actors.domain.breaker import BreakerState

SILENT_PROBE_S, SILENT_PROBE_S_MAX = 5.0, 300.0
"""How long a processor has to be silent before one more payment may probe it, and the longest pause until the next one:
pauses double. Look-ups at a processor that turns all away prove nothing, so that only a charge shows its return."""

TRIAL_S, TRIAL_S_MAX = 2.0, 30.0
"""The pause after the first trial of a slow processor, and the longest one: pauses double."""
USUAL_SAVING = 0.1
"""The difference of the fees in the event's preview, as a share of the amount. `Patience` is given for it."""


@dataclass(frozen=True, slots=True)
class Availability:
    """What a processor takes, as its charge gate announces it."""

    processor: str
    state: BreakerState
    """The state of its breaker; `OPEN` also while the replica drains."""
    takes: int
    """How many payments may be with it at once, those whose claims are being written included."""
    capacity_per_s: float
    """How many charges a second it can be given at its latency."""
    down_since_s: float | None
    """Monotonic time at which its present outage began; None where there is none."""
    turns_away: bool = False
    """Whether it turned away all that was sent, and no charge has succeeded since: its look-ups prove nothing."""
    doubted_from_s: float = inf
    """Time from which its outage may be over; infinite where there is none."""
    found_down_s: float = -inf
    """Start of the latest call that found it down."""
    is_slow: bool = False
    """Whether its calls take too long for it to be used while another one works."""
    told_fast_s: float = -inf
    """When its health endpoint was asked that last said that the slow processor is fast again."""


@dataclass(slots=True)
class ProcessorView:
    """What the router knows of one processor."""

    state: BreakerState = BreakerState.CLOSED
    takes: int = 0
    """How many payments may be with it at once."""
    capacity_per_s: float = inf
    """How many charges a second it can be given at its latency."""
    down_since_s: float | None = None
    """Monotonic time at which its present outage began."""
    up_since_s: float = -inf
    """Monotonic time at which its last outage ended."""
    turns_away: bool = False
    """Whether it turned away all that was sent, and no charge has succeeded since: its look-ups prove nothing."""
    doubted_from_s: float = inf
    """Time from which its outage may be over; infinite where there is none."""
    found_down_s: float = -inf
    """Start of the latest call or look-up that found it down."""
    is_slow: bool = False
    """Whether its calls take too long for it to be used while another one works."""
    told_fast_s: float = -inf
    """When its health endpoint was asked that last said that the slow processor is fast again."""
    tried_s: float = -inf
    """When a payment last tried whether it is still slow; -inf where none has since it became slow."""
    trial_pause_s: float = TRIAL_S
    """The pause between that trial and the next, unless its health endpoint says something new."""
    saving: float = USUAL_SAVING
    """The share of an amount by which the next dearer processor's fee is higher."""
    awaited_from_s: float = -inf
    """When payments last began to wait for the outcome of a probe."""
    awaited_until_s: float = -inf
    """When that wait ends, or has ended."""
    given: int = 0
    """Payments that are with it, those whose claims are being written included."""
    pinned: int = 0
    """Payments that it may have charged, and that no other processor may see meanwhile."""
    answered_s: float = -inf
    """When the latest look-up that it has answered was asked."""
    asked_again_at_s: float = -inf
    """When it is asked again for one of the pinned payments, at the latest."""
    unanswered: bool = False
    """Whether it has not answered the last look-up."""
    may_probe: bool = False
    """Whether one more payment may probe it although it is silent, because it has been so for long."""
    probe_at_s: float = inf
    """When the next payment may probe it although it is silent."""
    probe_pause_s: float = SILENT_PROBE_S
    """The pause between that probe and the one after it."""

    @property
    def is_silent(self) -> bool:
        """Whether payments are pinned to it and it has not answered the last look-up."""
        return self.pinned > 0 and self.unanswered

    @property
    def has_room(self) -> bool:
        """Whether it takes another payment now.

        A silent processor is rarely probed, since a payment that fails stays pinned until it answers: look-ups of the
        payments that are pinned already show when it is back.
        """
        if not self.takes_pinned:
            return False
        return self.state is not BreakerState.HALF_OPEN or self.may_probe or not self.is_silent

    @property
    def takes_pinned(self) -> bool:
        """Whether it takes another payment that is pinned to it already, so that a probe adds no pinned payment."""
        return self.given < self.takes

    def count_pinned(self, more: int) -> None:
        """Note one more pinned payment (1) or one less (-1)."""
        self.pinned += more
        if more > 0:
            self.may_probe = False

    def looked_up(self, asked_at_s: float, *, answered: bool) -> None:
        """Note whether it has answered a look-up. Silence to one that was asked before its latest answer is ignored."""
        if answered:
            self.answered_s = max(self.answered_s, asked_at_s)
            self.unanswered = self.may_probe = False
        if answered or asked_at_s <= self.answered_s:
            return
        self.found_down_s = max(self.found_down_s, asked_at_s)
        if not self.unanswered:
            self.unanswered, self.probe_pause_s = True, 2 * SILENT_PROBE_S
            self.probe_at_s = asked_at_s + SILENT_PROBE_S
        elif asked_at_s >= self.probe_at_s:
            self.may_probe, self.probe_at_s = True, asked_at_s + self.probe_pause_s
            self.probe_pause_s = min(2 * self.probe_pause_s, SILENT_PROBE_S_MAX)

    def update(self, now: Availability, now_s: float) -> None:
        """Take over what its charge gate has announced."""
        if self.down_since_s is not None and now.down_since_s is None:
            self.up_since_s = now_s
        self.state, self.takes, self.turns_away = now.state, now.takes, now.turns_away
        self.capacity_per_s, self.down_since_s = now.capacity_per_s, now.down_since_s
        self.doubted_from_s, self.found_down_s = now.doubted_from_s, max(self.found_down_s, now.found_down_s)
        self.is_slow, self.told_fast_s = now.is_slow, now.told_fast_s
        if not now.is_slow:
            self.tried_s, self.trial_pause_s = -inf, TRIAL_S
        if self.down_since_s is None or self.found_down_s >= self.awaited_from_s:
            self.awaited_until_s = min(self.awaited_until_s, now_s)

    def takes_trial(self, now_s: float) -> bool:
        """Tell whether a payment may try now if it is still slow; if so, note that it tries."""
        is_due = now_s >= self.tried_s + self.trial_pause_s or self.told_fast_s > self.tried_s
        if not (is_due and self.has_room):
            return False
        if self.tried_s > -inf:
            self.trial_pause_s = min(2 * self.trial_pause_s, TRIAL_S_MAX)
        self.tried_s = now_s
        return True

    def is_awaited(self, now_s: float, wait_s: float) -> bool:
        """Tell whether to wait for the outcome of a probe. Begin such a wait, of up to `wait_s`, where it is worth it.

        After a wait without an outcome the next begins only with new doubts, so that no payment waits twice.
        """
        can_be_probed = self.state is BreakerState.HALF_OPEN and (self.may_probe or not self.is_silent)
        if can_be_probed and self.awaited_until_s < self.doubted_from_s <= now_s:
            self.awaited_from_s, self.awaited_until_s = now_s, now_s + wait_s
        return now_s < self.awaited_until_s
