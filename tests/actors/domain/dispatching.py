"""A dispatcher with two processors and a clock, and short words for what happens to it."""

from collections.abc import Sequence
from decimal import Decimal
from math import inf
from random import Random
from uuid import UUID

from actors.domain.breaker import BreakerState
from actors.domain.dispatcher import Dispatcher
from actors.domain.lifecycle_events import ChargeEnded, LookUpEnded
from actors.domain.money import BRL
from actors.domain.outcome import Outcome
from actors.domain.patience import Patience
from actors.domain.payment import Claim, Payment
from actors.domain.processor_view import Availability
from actors.domain.processors import Processor
from actors.domain.records import LookUpResult
from actors.domain.retries import RetryLimits
from actors.domain.routing_policies import CheapestFirst
from actors.domain.work import Work

NOW_MS = 1_750_000_000_000
HORIZON_S = 30.0
PROCESSORS = (
    Processor("fallback", "http://f", Decimal("0.15")),
    Processor("default", "http://d", Decimal("0.05")),
)


def payment(number: int, amount_minor: int = 1990, currency: str = BRL) -> Payment:
    return Payment(UUID(int=number), amount_minor, NOW_MS, currency)


def payments(*numbers: int) -> list[Payment]:
    return [payment(number) for number in numbers]


def ids(*numbers: int) -> list[UUID]:
    return [UUID(int=number) for number in numbers]


class Dispatching:
    """A dispatcher whose processors work at first. By default it has no patience with an outage."""

    def __init__(
        self, outage_s: float = 0.0, jitter: float = 0.0, processors: Sequence[Processor] = PROCESSORS
    ) -> None:
        routes = CheapestFirst(processors, Patience(outage_s, backlog_s=5.0))
        self.dispatcher = Dispatcher(routes, RetryLimits(jitter=jitter), Random(1))
        self.now_s = 1000.0
        self.announce("default")
        self.announce("fallback")

    @property
    def now_ms(self) -> int:
        return NOW_MS + round((self.now_s - 1000) * 1000)

    def decide(self) -> Work:
        work = self.dispatcher.decide(self.now_s, self.now_ms)
        for key in ids(1, 2):  # Every step of a history has a time.
            assert all(step.at_s <= self.now_s for step in self.dispatcher.history(key).steps)
        return work

    def advance(self, seconds: float) -> Work:
        self.now_s += seconds
        return self.decide()

    def announce(
        self,
        processor: str,
        state: BreakerState = BreakerState.CLOSED,
        *,
        takes: int | None = None,
        capacity_per_s: float = inf,
        turns_away: bool = False,
        down_since_s: float | None = None,
        doubted_from_s: float = inf,
        is_slow: bool = False,
    ) -> None:
        """Let a processor's gate announce itself; an outage begins now if it is not said when."""
        is_down = state in {BreakerState.OPEN, BreakerState.HALF_OPEN}
        if takes is None:
            takes = 100 if state.is_closed else int(state is BreakerState.HALF_OPEN)
        if is_down and down_since_s is None:
            down_since_s = self.now_s
        outage = down_since_s, turns_away, doubted_from_s
        availability = Availability(processor, state, takes, capacity_per_s, *outage, is_slow=is_slow)
        self.dispatcher.availability_changed(availability, self.now_s)

    def accept(self, *numbers: int, behind: int = 0) -> Work:
        self.dispatcher.accepted(payments(*numbers), behind, self.now_s)
        return self.decide()

    def replay(self, *numbers: int) -> Work:
        """Accept payments of an earlier run's journal."""
        self.dispatcher.accepted(payments(*numbers), 0, self.now_s, frozenset(ids(*numbers)))
        return self.decide()

    def offer(self, *offered: Payment) -> None:
        """Accept payments without deciding yet."""
        self.dispatcher.accepted(offered, 0, self.now_s)

    def claimed(self, *numbers: int) -> Work:
        self.dispatcher.claimed(ids(*numbers), self.now_s)
        return self.decide()

    def moved(self, *numbers: int) -> Work:
        self.dispatcher.moved(ids(*numbers), self.now_s)
        return self.decide()

    def moves_rejected(self, *numbers: int) -> Work:
        self.dispatcher.moves_rejected(ids(*numbers), self.now_s)
        return self.decide()

    def store_changed(self) -> Work:
        self.dispatcher.store_changed(self.now_s, self.now_ms)
        return self.decide()

    def closed(self, *numbers: int) -> Work:
        self.dispatcher.closed(ids(*numbers), self.now_s)
        return self.decide()

    def settled(self, *numbers: int) -> Work:
        self.dispatcher.settled(ids(*numbers), self.now_s)
        return self.decide()

    def rejected(self, *rejected: Payment) -> Work:
        self.dispatcher.claims_rejected(rejected, self.now_s)
        return self.decide()

    def adopt(self, *claims: Claim, oldest_stamp_ms: int = NOW_MS) -> Work:
        self.dispatcher.adopted(claims, oldest_stamp_ms, self.now_s)
        return self.decide()

    def charging(self, *numbers: int) -> "Dispatching":
        """Bring payments as far as to their charges."""
        self.accept(*numbers)
        self.claimed(*numbers)
        return self

    def ended(self, outcome: Outcome, *numbers: int) -> Work:
        """End the charges of these payments, of the first one where none is named."""
        ends = [ChargeEnded(each, outcome, self.now_ms, self.now_ms) for each in ids(*(numbers or (1,)))]
        self.dispatcher.charges_ended(ends, self.now_s)
        return self.decide()

    def looked_up(
        self, number: int, requested_at_ms: int | None, *, answered: bool = True, at: str = "default"
    ) -> Work:
        """End a look-up that was asked now; without an instant the payment is missing there, or nothing is answered."""
        result = LookUpResult.MISSING if answered else LookUpResult.NO_ANSWER
        return self.told(number, result if requested_at_ms is None else LookUpResult.CHARGED, requested_at_ms, at=at)

    def told(self, number: int, result: LookUpResult, requested_at_ms: int | None = None, *, at: str) -> Work:
        """Let a processor say this of a payment, as of now."""
        end = LookUpEnded(UUID(int=number), at, result, requested_at_ms, self.now_s, HORIZON_S)
        self.dispatcher.look_ups_ended([end], self.now_s)
        return self.decide()
