"""The processors as the router sees them, and why a payment goes to one of them or waits.

Which one it goes to is decided by one of the policies in `actors/domain/routing_policies.py`.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from actors.domain.patience import Patience
from actors.domain.processor_view import ProcessorView
from actors.domain.processors import Processor


class Reason(Enum):
    """Why a payment goes where it goes, or waits."""

    CHEAPEST = "the cheapest one works"
    PROBE = "a probe, to find out whether it works again"
    OUTAGE = "cheaper ones have been down for too long"
    SLOW = "cheaper ones are slow"
    BACKLOG = "others could not charge all that waits in time"
    RETRIES_SPENT = "the payment has failed too often on another one"
    FORCED = "an operator keeps the breakers of cheaper ones open"
    WAIT_FOR_ROOM = "waits: the limit of charges under way is reached"
    WAIT_FOR_RECOVERY = "waits: the outage has only just begun"
    WAIT_FOR_PROBE = "waits: a probe will show whether a cheaper one works again"
    WAIT_FOR_CHEAPER = "waits: cheaper ones may come back together with this one"
    WAIT_FOR_ANY = "waits: no processor works"
    WAIT_FOR_CURRENCY = "waits: no processor takes its currency"


TAKEN_BY_NONE = frozenset(
    {
        Reason.WAIT_FOR_RECOVERY,
        Reason.WAIT_FOR_PROBE,
        Reason.WAIT_FOR_CHEAPER,
        Reason.WAIT_FOR_ANY,
        Reason.WAIT_FOR_CURRENCY,
    }
)
"""Reasons for which a payment may wait for long: meanwhile its row names no processor."""
USUAL = (Reason.CHEAPEST,)
"""Reasons for which payments go where they go while nothing is wrong."""
UNLOGGED = (Reason.PROBE, Reason.RETRIES_SPENT, Reason.WAIT_FOR_ROOM)
"""Reasons that say nothing about where most payments go."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Where a payment goes."""

    processor: str | None
    """The chosen processor; None where the payment has to wait."""
    reason: Reason


def by_cost(processors: Sequence[Processor]) -> tuple[Processor, ...]:
    """Order processors from the cheapest to the dearest, equal fees as they were listed."""
    return tuple(sorted(processors, key=lambda processor: processor.fee))


class Routes(ABC):
    """The processors of a gateway as its router sees them: chooses, and counts what was chosen and why.

    A policy is a subclass: it says which processor is chosen and, if it waits for processors that are down, how long.
    """

    def __init__(self, processors: Sequence[Processor], patience: Patience) -> None:
        self.cheapest_first = by_cost([processor for processor in processors if processor.currencies])
        """The processors that charge; those that take no currency are only asked about earlier payments."""
        self.views = {processor.name: ProcessorView() for processor in processors}
        for cheaper, dearer in pairwise(self.cheapest_first):
            self.views[cheaper.name].saving = float(dearer.fee - cheaper.fee)
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

    def may_have_charged(self, currency: str) -> tuple[str, ...]:
        """Name those that a payment in a currency may once have been sent to: who takes it, or is only asked."""
        return tuple(name for name, taken in self._currencies.items() if currency in taken or not taken)

    def is_waited_for(self, processor: str, now_s: float) -> bool:
        """Tell whether a processor is down and its outage young enough to be waited out, or a probe awaited."""
        is_down = self.views[processor].down_since_s is not None
        return is_down and any(now_s < end_s for end_s in self.patience_ends_s(processor))

    def waited_for_s(self, now_s: float) -> Mapping[str, float]:
        """Tell how much longer payments wait for those processors that are down, while a dearer one works."""
        working = [each.fee for each in self.cheapest_first if self.views[each.name].state.is_closed]
        cheapest = min(working, default=None)
        return {
            each.name: max(self.patience_ends_s(each.name)) - now_s
            for each in self.cheapest_first
            if cheapest is not None and each.fee < cheapest and self.is_waited_for(each.name, now_s)
        }

    def is_spent(self, processor: str, failures: int, now_s: float) -> bool:
        """Tell whether a payment that failed so often in a row on a processor should rather go to another."""
        if self.views[processor].state.is_closed:
            return failures > self._patience.retries_max
        # Else the only payment there is would be the probe for ever.
        return failures > 0 and not self.is_waited_for(processor, now_s)

    @abstractmethod
    def choose(self, takers: Sequence[Processor], *, waiting: int, spent: str | None, now_s: float) -> Choice:
        """Choose for a payment that is free to go to any of `takers`: those that take its currency, the cheapest first.

        `waiting` is how many others wait for room. `spent` is a processor whose retries this payment has used up.
        """

    def patience_ends_s(self, processor: str) -> tuple[float, ...]:  # noqa: ARG002  # for policies that wait
        """Tell when payments may stop waiting because of a processor; at each such time the policy is asked anew."""
        return ()
