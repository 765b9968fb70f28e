"""Which processor a payment goes to: the cheapest that takes charges."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from actors.domain.breaker import BreakerState
from actors.domain.processors import Processor


@dataclass(slots=True)
class ProcessorView:
    """What the router believes of one processor."""

    state: BreakerState = BreakerState.CLOSED
    permits: int | None = None
    """How many more charges it takes while half open; None for any number."""

    @property
    def takes_charges(self) -> bool:
        """Whether a charge may be sent to it now."""
        return self.state is not BreakerState.OPEN and self.permits != 0

    def charge_sent(self) -> None:
        """Count a charge against the permits."""
        if self.permits:
            self.permits -= 1


def by_cost(processors: Sequence[Processor]) -> tuple[Processor, ...]:
    """Order processors from the cheapest to the dearest, equal fees as they were listed."""
    return tuple(sorted(processors, key=lambda processor: processor.fee))


def choose(cheapest_first: Sequence[Processor], views: Mapping[str, ProcessorView]) -> str | None:
    """Name the processor for a payment that is free to go to any; None where it has to wait."""
    for processor in cheapest_first:
        if views[processor.name].takes_charges:
            return processor.name
    return None
