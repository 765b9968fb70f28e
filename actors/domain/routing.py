"""Which processor a payment goes to, and why: the cheapest that works, or that is worth waiting for.

Waiting costs nothing but time; a dearer processor costs a multiple of the fee.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from math import inf

from actors.domain.breaker import BreakerState
from actors.domain.processors import Processor


class Reason(Enum):
    """Why a payment goes where it goes, or waits."""

    CHEAPEST = "the cheapest works"
    PROBE = "to see whether it works again"
    OUTAGE = "cheaper ones have been down for too long"
    BACKLOG = "cheaper ones would not drain in time"
    RETRIES_SPENT = "a cheaper one failed it too often"
    FORCED = "an operator keeps cheaper ones open"
    WAIT_FOR_ROOM = "waits: as many as may be are under way"
    WAIT_FOR_RECOVERY = "waits: the outage is young"
    WAIT_FOR_CHEAPER = "waits: cheaper ones may come back with this one"
    WAIT_FOR_ANY = "waits: none works"
    WAIT_FOR_CURRENCY = "waits: none takes its currency"


SILENT_PROBE_S, SILENT_PROBE_S_MAX = 5.0, 300.0
"""How long a processor is silent until it may be probed by one more payment, and the longest pause until the next: it
doubles each time. What turns all away tells of no payment for certain, so that only a charge shows its return."""
TAKEN_BY_NOBODY = frozenset(
    {Reason.WAIT_FOR_RECOVERY, Reason.WAIT_FOR_CHEAPER, Reason.WAIT_FOR_ANY, Reason.WAIT_FOR_CURRENCY}
)
"""Reasons for which a payment may wait for long: meanwhile its row names nobody."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a cheaper processor is waited for; chosen by simulation, see `docs/decisions/0002-routing.md`."""

    outage_s: float = 11.0
    """From the start of an outage; then payments go to a dearer processor."""
    backlog_s: float = 5.0
    """The time in which a processor that works has to be able to charge all that waits."""
    return_s: float = 0.5
    """From the end of a dearer one's own outage: where both were down, both often come back together."""
    retries_max: int = 3
    """How many times a payment is tried again on a processor that works, before it goes to another one that works."""


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
        elif asked_at_s <= self.answered_s:
            return
        elif not self.unanswered:
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


@dataclass(frozen=True, slots=True)
class Choice:
    """Where a payment goes."""

    processor: str | None
    """The chosen processor; None where the payment has to wait."""
    reason: Reason


def by_cost(processors: Sequence[Processor]) -> tuple[Processor, ...]:
    """Order processors from the cheapest to the dearest, equal fees as they were listed."""
    return tuple(sorted(processors, key=lambda processor: processor.fee))


def choose(
    cheapest_first: Sequence[Processor],
    views: Mapping[str, ProcessorView],
    *,
    waiting: int,
    spent: str | None,
    now_s: float,
    patience: Patience,
) -> Choice:
    """Choose among the processors that take the currency of a payment, which is free to go to any of them.

    `waiting` is how many others wait for room. `spent` is a processor whose retries this payment has used up: any other
    that works and has room is better.
    """
    if spent is not None:
        others = (each.name for each in cheapest_first if each.name != spent)
        other = next((name for name in others if views[name].state.is_closed and views[name].has_room), None)
        if other is not None:
            return Choice(other, Reason.RETRIES_SPENT)
    passed = Reason.CHEAPEST
    for processor in cheapest_first:
        view = views[processor.name]
        if passed is Reason.OUTAGE and view.state.is_closed and now_s < view.up_since_s + patience.return_s:
            return Choice(None, Reason.WAIT_FOR_CHEAPER)
        if view.has_room:
            return Choice(processor.name, Reason.PROBE if view.state is BreakerState.HALF_OPEN else passed)
        if view.state.is_closed:
            if waiting <= view.capacity_per_s * patience.backlog_s:
                return Choice(None, Reason.WAIT_FOR_ROOM)
            passed = Reason.BACKLOG
        elif view.state is BreakerState.FORCED_OPEN:
            passed = Reason.FORCED
        else:
            if view.down_since_s is None or now_s < view.down_since_s + patience.outage_s:
                return Choice(None, Reason.WAIT_FOR_RECOVERY)
            passed = Reason.OUTAGE
    return Choice(None, Reason.WAIT_FOR_ANY if cheapest_first else Reason.WAIT_FOR_CURRENCY)


class Routes:
    """The processors of a gateway as its router sees them: chooses, and counts what it chose and why."""

    def __init__(self, processors: Sequence[Processor], patience: Patience) -> None:
        self.cheapest_first = by_cost([processor for processor in processors if processor.currencies])
        """The processors that charge; those that take no currency are only looked up."""
        self.views = {processor.name: ProcessorView() for processor in processors}
        self._currencies = {processor.name: processor.currencies for processor in processors}
        self.decisions: Counter[tuple[str | None, Reason]] = Counter()
        """How often a payment was given to a processor, or to none, for each reason."""
        self._patience = patience

    def down(self) -> frozenset[str]:
        """Name the processors whose breakers are not closed."""
        return frozenset(name for name, view in self.views.items() if not view.state.is_closed)

    def takes(self, processor: str, currency: str) -> bool:
        """Tell whether a processor takes a currency."""
        return currency in self._currencies[processor]

    def choose(self, takers: Sequence[Processor], *, waiting: int, spent: str | None, now_s: float) -> Choice:
        """Choose for a free payment among those that take its currency, the cheapest first; see `choose`."""
        return choose(takers, self.views, waiting=waiting, spent=spent, now_s=now_s, patience=self._patience)

    def is_waited_for(self, processor: str, now_s: float) -> bool:
        """Tell whether a processor is down and its outage young enough to be waited out."""
        return self.views[processor].down_since_s is not None and now_s < self.patience_ends_at_s(processor)

    def is_spent(self, processor: str, failures: int, now_s: float) -> bool:
        """Tell whether a payment that failed so often in a row on a processor should rather go to another."""
        if self.views[processor].state.is_closed:
            return failures > self._patience.retries_max
        # Else the only payment there is would be the probe for ever.
        return failures > 0 and not self.is_waited_for(processor, now_s)

    def patience_ends_at_s(self, processor: str) -> float:
        """Tell when payments stop waiting for this processor or, where it has just come back, for cheaper ones."""
        view = self.views[processor]
        if view.down_since_s is None:
            return view.up_since_s + self._patience.return_s
        return view.down_since_s + self._patience.outage_s
