"""Simulates what the first payments after a quiet time cost, in which an outage has or has not ended unseen."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from uuid import UUID

from actors.domain.breaker import BreakerState
from actors.domain.payment import Payment
from actors.messages.health import ForceBreaker
from ops.benchmarks.policies import Policy
from ops.benchmarks.runs import REPLICAS, start_gateway
from ops.benchmarks.stages import PREVIEW
from ops.simulation.cluster import Cluster
from ops.simulator.faults import Faults
from ops.simulator.processor import PaymentProcessor

OUTAGE_S = 14.0
"""How long payments come during the outage, longer than any of them waits for its end."""
LOAD_PER_S = 60
BURST, BURST_FROM = 60, 1_000_000
"""Payments of the burst, and the number of the first."""
BURST_S = 0.005
"""Within this time all payments of the burst are posted, over all replicas by turns."""
SETTLED_S_MAX = 30.0
"""How long the burst may take."""
QUIET_S = 20.0


@dataclass(frozen=True, slots=True)
class Quiet:
    """An outage, a time without a payment, and what the processors do when a burst of payments comes."""

    name: str
    health_says_failing: bool = True
    """What default's health endpoint says during the outage."""
    fallback_down: bool = False
    """Whether fallback fails as long as default does."""
    outage_at: Sequence[int] = range(REPLICAS)
    """The replicas that get payments during the outage."""
    quiet_s: float = QUIET_S
    recovers_s: float = 2.0
    """How long after the last payment of the outage default works again."""
    recovers: bool = True
    """Whether default works again at all; if not, only its health endpoint says so."""
    delay_s: float = 0.0
    """How long a charge takes on default when the burst comes."""
    redis_gone: bool = False
    is_forced: bool = False
    """Whether an operator forces default's breakers open during the outage, and releases them when it ends."""


TABLE = (
    Quiet("health says working"),
    Quiet("health is not asked again", quiet_s=5.0, recovers_s=4.0),
    Quiet("Redis is gone", redis_gone=True),
    Quiet("opened on one replica", health_says_failing=False, outage_at=[0]),
    Quiet("opened on one by a quorum of two", health_says_failing=False, outage_at=[0, 1]),
    Quiet("forced open, then released", is_forced=True),
    Quiet("both were down", fallback_down=True),
    Quiet("answers in 1 s", delay_s=1.0),
    Quiet("answers in 1.4 s", delay_s=1.4),
    Quiet("answers in 4 s, so it is slow", delay_s=4.0),
    Quiet("still fails, says working", recovers=False),
    Quiet("gives no answer, says working", recovers=False, delay_s=60.0),
)
"""All but the last three end with a default that works and is not slow: nothing of the burst should pay more."""


QUIET_COLUMNS = "burst on default | on fallback | charges asked of default | seconds until settled"


@dataclass(frozen=True, slots=True)
class BurstFigures:
    """What became of the burst."""

    settled: Mapping[str, int]
    """Payments of the burst by the processor that charged them."""
    calls: int
    """Charges that default was asked for since the burst began, including those that failed."""
    settled_s: float
    """Time from the beginning of the burst until its last payment was charged."""

    def row(self, name: str) -> str:
        """Give a line of a markdown table with `QUIET_COLUMNS`."""
        settled = " | ".join(str(self.settled.get(each, 0)) for each in PREVIEW.fees_percent)
        return f"| {name} | {settled} | {self.calls} | {self.settled_s:.2f} |"


def simulate_burst(quiet: Quiet, policy: Policy, seed: int = 1) -> BurstFigures:
    """Run an outage under load, the quiet time and the burst; the same arguments give the same figures."""
    cluster = start_gateway(policy, Random(f"{seed} gateway"))  # noqa: S311  # no secret
    clock, default, fallback = cluster.clock, cluster.processors["default"], cluster.processors["fallback"]
    cluster.board.gone = quiet.redis_gone
    _break(default, quiet)
    if quiet.fallback_down:
        fallback.failing = True
    if quiet.is_forced:
        _force(cluster, BreakerState.FORCED_OPEN)
    for number in range(round(OUTAGE_S * LOAD_PER_S)):
        _post(cluster, number, quiet.outage_at[number % len(quiet.outage_at)], number / LOAD_PER_S)
    clock.run(clock.time_s + OUTAGE_S + quiet.recovers_s)
    default.failing = fallback.failing = False
    default.faults = Faults(failure_rate=0.0 if quiet.recovers else 1.0)
    default.delay_ms = round(quiet.delay_s * 1000)
    if quiet.is_forced:
        _force(cluster, None)
    clock.run(clock.time_s + quiet.quiet_s - quiet.recovers_s)
    calls, began_ms = default.calls, clock.now_ms()
    burst = [
        _post(cluster, BURST_FROM + number, number % REPLICAS, BURST_S * number / BURST) for number in range(BURST)
    ]
    clock.run(clock.time_s + SETTLED_S_MAX)
    clock.close()
    found = [cluster.tables.settlements[key] for key in burst if key in cluster.tables.settlements]
    settled_ms = max((each.answered_at_ms for each in found), default=began_ms)
    return BurstFigures(
        Counter(each.processor for each in found), default.calls - calls, (settled_ms - began_ms) / 1000
    )


def _break(default: PaymentProcessor, quiet: Quiet) -> None:
    default.failing = quiet.health_says_failing
    default.faults = Faults(failure_rate=1.0)


def _force(cluster: Cluster, state: BreakerState | None) -> None:
    cluster.replicas["1"].system.health.tell(ForceBreaker("default", state))


def _post(cluster: Cluster, number: int, replica: int, later_s: float) -> UUID:
    key = UUID(int=number + 1)
    payment = Payment(key, PREVIEW.amount_cents, cluster.clock.now_ms() + round(later_s * 1000))
    cluster.clock.call_later(later_s, list(cluster.replicas.values())[replica].accept, payment, lambda _: None)
    return key
