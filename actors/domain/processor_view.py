"""What the router knows of one processor: what its charge gate announces, what was given, and whether it answers."""

from dataclasses import dataclass
from math import inf

from actors.domain.breaker import BreakerState

SILENT_PROBE_S, SILENT_PROBE_S_MAX = 5.0, 300.0
"""How long a processor is silent until it may be probed by one more payment, and the longest pause until the next: it
doubles each time. What turns all away tells of no payment for certain, so that only a charge shows its return."""

TRIAL_S, TRIAL_S_MAX = 2.0, 30.0
"""The pause after the first trial of a slow processor, and the longest: it doubles with each."""
USUAL_SAVING = 0.1
"""The share of an amount that the fees of the event's preview differ by; patience is told for it."""


@dataclass(frozen=True, slots=True)
class Availability:
    """What a processor takes, as its charge gate announces it."""

    processor: str
    state: BreakerState
    """Of its breaker; `OPEN` also while the replica drains."""
    takes: int
    """How many payments may be with it at once, those whose claims are being written included."""
    capacity_per_s: float
    """How many charges a second it can be given at its latency."""
    down_since_s: float | None
    """Monotonic time at which its present outage began; None where there is none."""
    turns_away: bool = False
    """Whether it turned away all that was sent, and no charge has succeeded since: its look-ups prove nothing."""
    doubted_from_s: float = inf
    """From when on it is in doubt whether its outage goes on; infinite where there is none."""
    found_down_s: float = -inf
    """When the latest call began that has found it down."""
    is_slow: bool = False
    """Whether its calls take too long for it to be used while another one works."""
    told_fast_s: float = -inf
    """When its health endpoint was asked last that said that a slow one is not slow any more."""


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
    """From when on it is in doubt whether its outage goes on; infinite where there is none."""
    found_down_s: float = -inf
    """When the latest call or look-up began that has found it down."""
    is_slow: bool = False
    """Whether its calls take too long for it to be used while another one works."""
    told_fast_s: float = -inf
    """When its health endpoint was asked last that said that a slow one is not slow any more."""
    tried_s: float = -inf
    """When a payment was last given to it to see whether it is slow still; never where it has just become slow."""
    trial_pause_s: float = TRIAL_S
    """How long it will be until the next one, unless its health endpoint says something new."""
    saving: float = USUAL_SAVING
    """The share of an amount by which the next dearer processor's fee is higher."""
    awaited_from_s: float = -inf
    """When payments last began to wait for the outcome of a probe."""
    awaited_until_s: float = -inf
    """When that wait ends, or has ended."""
    given: int = 0
    """Payments that are with it, those whose claims are being written included."""
    pinned: int = 0
    """Payments that it may have charged, and that nobody else may see meanwhile."""
    answered_s: float = -inf
    """When the latest of the look-ups was asked that it has answered."""
    asked_again_at_s: float = -inf
    """When the pause ends after which it is asked again for one of the pinned payments, at the latest."""
    unanswered: bool = False
    """Whether it has not answered the last look-up."""
    may_probe: bool = False
    """Whether one more payment may be pinned to it all the same, since it has been silent for long."""
    probe_at_s: float = inf
    """When that is so for the next time."""
    probe_pause_s: float = SILENT_PROBE_S
    """How long that will take the time after."""

    @property
    def is_silent(self) -> bool:
        """Whether payments are pinned to it and it has not answered the last look-up."""
        return self.pinned > 0 and self.unanswered

    @property
    def has_room(self) -> bool:
        """Whether it takes another payment now.

        A silent one gets hardly any probe, since each that fails is pinned for as long as nothing is answered: look-ups
        of what is pinned already tell whether it is there again.
        """
        if not self.takes_pinned:
            return False
        return self.state is not BreakerState.HALF_OPEN or self.may_probe or not self.is_silent

    @property
    def takes_pinned(self) -> bool:
        """Whether it takes another one of those that are pinned to it: as a probe, none of them pins one more."""
        return self.given < self.takes

    def count_pinned(self, more: int) -> None:
        """Note one more pinned payment (1) or one less (-1)."""
        self.pinned += more
        if more > 0:
            self.may_probe = False

    def looked_up(self, asked_at_s: float, *, answered: bool) -> None:
        """Note whether it has answered a look-up; one that was asked before it answered another tells nothing."""
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
        """Take over what its gate has announced."""
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
        """Tell whether to see now if it is slow still; notes that one more payment tries it."""
        is_due = now_s >= self.tried_s + self.trial_pause_s or self.told_fast_s > self.tried_s
        if not (is_due and self.has_room):
            return False
        if self.tried_s > -inf:
            self.trial_pause_s = min(2 * self.trial_pause_s, TRIAL_S_MAX)
        self.tried_s = now_s
        return True

    def is_awaited(self, now_s: float, wait_s: float) -> bool:
        """Tell whether to wait for the outcome of a probe; begins that wait, of `wait_s` at most, where it is worth it.

        After one that brought no outcome another begins only with new doubts, so that no payment waits twice.
        """
        can_be_probed = self.state is BreakerState.HALF_OPEN and (self.may_probe or not self.is_silent)
        if can_be_probed and self.awaited_until_s < self.doubted_from_s <= now_s:
            self.awaited_from_s, self.awaited_until_s = now_s, now_s + wait_s
        return now_s < self.awaited_until_s
