"""A gateway in memory, for the tests of its HTTP side."""

from collections import Counter
from collections.abc import Sequence
from threading import Semaphore
from uuid import UUID

import falcon
import falcon.testing

from actors.domain.breaker import BreakerState, Transition
from actors.domain.breaker_causes import Cause
from actors.domain.counted import Counted
from actors.domain.histogram import Histogram, HistogramCounts
from actors.domain.history_questions import ToldHistory
from actors.domain.level import Level
from actors.domain.money import Money
from actors.domain.outcome import Outcome
from actors.domain.payment import EndState, Payment
from actors.domain.records import LookUpResult, PaymentState, Position, ProcessorTotal
from actors.domain.replica_status import HeardStatus, ReplicaUsage
from actors.domain.resolution import Finding, ResolutionAnswer
from actors.domain.routing import Reason
from actors.domain.seconds import Series
from actors.domain.story import Story
from actors.errors import FielError, GatewayUnavailableError
from actors.feed import Feed
from actors.measurements import Measurements
from actors.messages.gossip import GossipStats
from actors.messages.health import OrderReach
from actors.messages.intake import AcceptAnswer, IntakeStats
from actors.messages.persistence import Incidents, WriteStats
from actors.messages.processor import DatedTransition, ProcessorStatus
from actors.messages.router import RouterStats
from actors.overview import Look
from actors.queries import PaymentStatus
from actors.readiness import Readiness
from actors.summaries import WindowSummary
from ops.simulation.feed import MemoryFeed
from ops.simulation.tables import MemoryTables
from tests.actors.fakes import VirtualRuntime
from tests.actors.watching import CALM

NOW_MS = 1_752_582_896_789
ALL_WELL = Readiness(ready=True, parts={"journal": "ok", "actors": "ok", "postgres": "ok", "redis": "ok"})


def durations(*durations_s: float) -> HistogramCounts:
    """Count these durations."""
    histogram = Histogram(0.005, 0.1, 1.0)
    for each in durations_s:
        histogram.observe(each)
    return histogram.counted()


UNUSED = ProcessorStatus(
    charges=False,
    state=BreakerState.CLOSED,
    under_way=0,
    limit=266,
    latency_s=None,
    starts_per_s_max=800.0,
    transitions=(),
    transitions_by_cause={},
)
OPENED = ProcessorStatus(
    charges=True,
    state=BreakerState.OPEN,
    under_way=3,
    limit=12,
    latency_s=0.0123,
    starts_per_s_max=450.5,
    transitions=(
        DatedTransition(NOW_MS, Transition(BreakerState.CLOSED, BreakerState.OPEN, Cause.FAILURE_RATE, at_s=1000.0)),
    ),
    transitions_by_cause={(BreakerState.OPEN, Cause.FAILURE_RATE): 1},
    charges_ended={Outcome.SETTLED: durations(0.02, 0.3), Outcome.ALREADY_CHARGED: durations(1.0)},
    looked_up={LookUpResult.CHARGED: 4, LookUpResult.NO_ANSWER: 1},
    look_ups=Level(2, 16),
)
MEASURED = Measurements(
    counts=Counter(dict.fromkeys(Counted, 1)),
    writes=WriteStats(
        settled={("default", "BRL"): (5, 12_345), ("gone", "JPY"): (1, 700)},
        moved={"fallback": 3, None: 2},
        commits=durations(0.004),
        settling=durations(0.08, 12.0),
    ),
    intake=IntakeStats(journal=Level(7, 1000), accepted_ids=Level(8, 20), heard_ids=Level(9, 20), taken_over=6),
    gossip=GossipStats(untold=Level(1, 20_000), ids_asked=Level(2, 64), histories_asked=Level(3, 16)),
    mailboxes={"router": Level(4, 4096)},
    readers=Level(5, 64),
    feed_consumers=Level(6, 64),
    feed_behind_s=0.5,
    pool=Level(1, 4),
    syncs=durations(0.0003),
    usage=ReplicaUsage(memory_bytes=60_000_000, memory_bytes_max=84_000_000, journal_bytes=39),
    restarts=2,
)


def totals(currency: str = "BRL", **minor: int) -> dict[str, ProcessorTotal]:
    """Make the totals of processors, each of as many charges as minor units."""
    return {name: ProcessorTotal(name, amount, Money(amount, currency)) for name, amount in minor.items()}


NOTHING = WindowSummary(totals(default=0, fallback=0), final=True)


def client_of(app: falcon.App[falcon.Request, falcon.Response]) -> falcon.testing.TestClient:
    """Make a client on the gateway's own machine, which names it so."""
    return falcon.testing.TestClient(app, headers={"Host": "localhost:9999"})


class FakeGateway:
    """Accepts as the real one does; what else it answers is set from outside."""

    def __init__(self) -> None:
        self.kept: dict[UUID, Payment] = {}
        self.tables = MemoryTables()
        """Whose ends the feed tells of."""
        self.ends = MemoryFeed(self.tables)
        self.runtime = VirtualRuntime()
        self.feed = Feed(self.ends, self.runtime, Semaphore)
        self.answer: AcceptAnswer | None = None
        """What is answered to every payment, none of which is kept."""
        self.error: FielError | None = None
        """Raised instead of every answer."""
        self.silent: tuple[str, ...] = ()
        """Which of `stats`, `incidents` and `processors` are not answered."""
        self.statuses: dict[UUID, PaymentStatus] = {}
        self.told_histories: tuple[ToldHistory, ...] = ()
        """What replicas tell of the history of every payment."""
        self.seen = Look((HeardStatus(CALM, 0.2),), (), (), Story("good", "all is well"), None)
        """What is seen of all replicas."""
        self.last_seconds = Series(NOW_MS // 1000)
        self.series_asked: list[tuple[tuple[str, ...], int | None]] = []
        self.window = NOTHING
        self.asked: list[tuple[int | None, int | None]] = []
        """Windows that were asked for."""
        self.listed: tuple[PaymentStatus, ...] = ()
        self.lists: list[tuple[PaymentState, Position, int]] = []
        """Pages of lists that were asked for."""
        self.findings: list[tuple[Finding, str]] = []
        """What operators have said."""
        self.resolution = ResolutionAnswer.APPLIED
        self.purges = 0
        self.ready = ALL_WELL
        self.dead: tuple[str, ...] = ()
        self.busy = RouterStats(
            unsettled={"claiming": 0, "charging": 3},
            unresolved=1,
            decisions={("default", Reason.CHEAPEST): 7, (None, Reason.WAIT_FOR_RECOVERY): 2},
        )
        self.ended = Incidents(disputes=0, closed=dict.fromkeys(EndState, 0))
        self.known = {"default": OPENED, "fallback": UNUSED}
        """What is told of each processor."""
        self.measured = MEASURED
        self.forced: list[tuple[str, BreakerState | None]] = []
        """Orders that were taken."""

    def now_ms(self) -> int:
        return NOW_MS

    def accept(self, payment: Payment) -> AcceptAnswer:
        self._fail()
        if self.answer is not None:
            return self.answer
        known = self.kept.setdefault(payment.correlation_id, payment)
        if known is payment:
            return AcceptAnswer.ACCEPTED
        return AcceptAnswer.REPEATED if known.money == payment.money else AcceptAnswer.CONFLICT

    def payment(self, correlation_id: UUID) -> PaymentStatus | None:
        self._fail()
        return self.statuses.get(correlation_id)

    def histories(self, correlation_id: UUID) -> tuple[ToldHistory, ...]:  # noqa: ARG002  # as the port has it
        self._fail()
        return self.told_histories

    def look(self) -> Look:
        self._fail()
        return self.seen

    def series(self, processors: Sequence[str], after_s: int | None) -> Series:
        self.series_asked.append((tuple(processors), after_s))
        return self.last_seconds

    def payments(self, state: PaymentState, after: Position, payments_max: int) -> tuple[PaymentStatus, ...]:
        self._fail()
        self.lists.append((state, after, payments_max))
        return self.listed[:payments_max]

    def resolve(self, finding: Finding, asked_by: str) -> ResolutionAnswer:
        self._fail()
        self.findings.append((finding, asked_by))
        return self.resolution

    def summary(self, from_ms: int | None, to_ms: int | None) -> WindowSummary:
        self._fail()
        self.asked.append((from_ms, to_ms))
        return self.window

    def purge(self) -> None:
        self._fail()
        self.purges += 1

    def stats(self) -> RouterStats:
        self._fail("stats")
        return self.busy

    def incidents(self) -> Incidents:
        self._fail("incidents")
        return self.ended

    def processors(self) -> dict[str, ProcessorStatus]:
        self._fail("processors")
        return self.known

    def measurements(self) -> Measurements:
        return self.measured

    def force_breaker(self, processor: str, state: BreakerState | None) -> OrderReach | None:
        self._fail()
        if processor not in self.known:
            return None
        self.forced.append((processor, state))
        return OrderReach(2, of=3)

    def dead_actors(self) -> tuple[str, ...]:
        return self.dead

    def readiness(self) -> Readiness:
        return self.ready

    def _fail(self, question: str = "") -> None:
        if self.error is not None:
            raise self.error
        if question in self.silent:
            raise GatewayUnavailableError(f"{question}: no answer")
