"""The product's policy, and those that it is compared with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import inf

from actors.domain.breaker_limits import BreakerLimits
from actors.domain.concurrency_limit import ConcurrencyLimits
from actors.domain.patience import Patience
from actors.domain.processors import Processor
from actors.domain.routing import Choice, Reason, Routes
from actors.domain.routing_policies import CheapestFirst

TRIES = 3


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings in which compared gateways differ; the defaults are those of the product."""

    name: str = "fiel"
    patience: Patience = field(default_factory=Patience)
    slow_s: float = 1.5
    """A processor whose calls take at least this long is not used while another one works."""
    breaker: BreakerLimits | None = field(default_factory=BreakerLimits)
    """The limits of breakers; None forces them closed."""
    concurrency: ConcurrencyLimits = field(default_factory=ConcurrencyLimits)
    weighs_fees: bool = True
    """Whether its choices depend on how far the fees differ; if not, one run stands for all fees."""
    make_routes: Callable[[Sequence[Processor], Patience], Routes] = CheapestFirst


class DefaultOnly(CheapestFirst):
    """Chooses the cheapest processor for ever."""

    def choose(
        self,
        takers: Sequence[Processor],
        *,
        waiting: int,  # noqa: ARG002  # as in the product
        spent: str | None,  # noqa: ARG002  # the same
        now_s: float,  # noqa: ARG002  # the same
    ) -> Choice:
        """Choose the cheapest, where there is room."""
        return self._unless_full(takers[0])

    def is_spent(self, processor: str, failures: int, now_s: float) -> bool:  # noqa: ARG002  # as in the product
        """Never give up."""
        return False

    def _unless_full(self, processor: Processor) -> Choice:
        if self.views[processor.name].has_room:
            return Choice(processor.name, Reason.CHEAPEST)
        return Choice(None, Reason.WAIT_FOR_ROOM)


class ThreeTries(DefaultOnly):
    """Chooses the cheapest processor for three tries, then the other one for ever."""

    def choose(
        self,
        takers: Sequence[Processor],
        *,
        waiting: int,  # noqa: ARG002  # as in the product
        spent: str | None,
        now_s: float,  # noqa: ARG002  # the same
    ) -> Choice:
        """Choose the other processor once the payment has used up its tries on the cheapest."""
        return self._unless_full(takers[0 if spent is None else 1])

    def is_spent(self, processor: str, failures: int, now_s: float) -> bool:  # noqa: ARG002  # as in the product
        """Count the tries on the cheapest; a payment that went to the other one has none left there."""
        return failures >= TRIES or processor != self.cheapest_first[0].name


def fallback_at_once(fiel: Policy) -> Policy:
    """Make a policy that neither waits nor avoids slow processors: while default is down all goes to fallback."""
    return replace(
        fiel, name="fallback at once", patience=replace(fiel.patience, outage_s=0.0), slow_s=inf, weighs_fees=False
    )


def default_only() -> Policy:
    """Make a policy that tries default for ever, without a breaker."""
    return Policy("default only", breaker=None, weighs_fees=False, make_routes=DefaultOnly)


def three_tries() -> Policy:
    """Make a policy that tries default three times, then fallback for ever, without a breaker."""
    return Policy("three tries then fallback", breaker=None, weighs_fees=False, make_routes=ThreeTries)
