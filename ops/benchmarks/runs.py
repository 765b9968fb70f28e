"""Plays one game with one policy, and tells the most that any policy could have earned in it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from uuid import UUID

from actors.domain.breaker import BreakerState
from actors.domain.breaker_limits import BreakerLimits
from actors.domain.payment import Payment
from actors.domain.processors import Processor
from actors.domain.rate_limiter import RateLimits
from actors.health import POLL_S, READ_S
from actors.messages.processor import HoldBreaker
from ops.benchmarks.policies import Policy
from ops.benchmarks.stages import PREVIEW, Condition, SimulatedGame, Table
from ops.simulation.cluster import Cluster, Conditions
from ops.simulator.faults import Faults
from ops.simulator.processor import PaymentProcessor

REPLICAS = 3
STARTS_PER_S = 350.0
"""Charges that the CPU of one replica allows on each processor."""
SERVICE_S = 0.003
"""Duration of a charge without a delay: the network and the processor's INSERT."""
COUNTED_S = 0.25
"""How long after the end totals are asked for: the last payment has to be committed twice and charged."""
COMMIT_S = 0.005
"""Duration of a commit to Postgres."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The result of one run."""

    offered: int
    settled: Mapping[str, int]
    """Payments whose charge was answered by the end, by processor."""
    booked: Mapping[str, int]
    """Charges in the books of each processor; more than settled where an answer was still on its way."""
    booked_twice: int
    calls: Mapping[str, int]

    def profit_cents(self, game: SimulatedGame) -> float:
        """Tell how much of the settled amounts is left after the fees."""
        return sum(count * game.left_cents(name) for name, count in self.settled.items())

    @property
    def default_share(self) -> float:
        """Share of the offered payments that were settled on default."""
        return self.settled["default"] / self.offered


def simulate(
    game: SimulatedGame, policy: Policy, seed: int = 1, until_s: float | None = None, replica_count: int = REPLICAS
) -> Figures:
    """Play a game, and count at `until_s`, by default a moment after its end; equal arguments give equal figures."""
    cluster = start_gateway(policy, Random(f"{seed} gateway"), game, replica_count)  # noqa: S311  # no secret
    clock, replicas, processors = cluster.clock, list(cluster.replicas.values()), cluster.processors
    for name, processor in processors.items():
        for from_s, condition in conditions(game.table, name):
            clock.call_later(from_s, behave, processor, condition, seed)
    offered = 0
    for offered, (at_s, user) in enumerate(game.arrivals(), start=1):
        # A user keeps its connection, and so its replica.
        payment = Payment(UUID(int=offered), game.amount_cents, clock.now_ms() + round(at_s * 1000))
        clock.call_later(at_s, replicas[user % replica_count].accept, payment, lambda _: None)
    clock.run(clock.time_s + (_end_s(game) if until_s is None else until_s))
    clock.close()
    settled = Counter(settlement.processor for settlement in cluster.tables.settlements.values())
    booked = {name: {entry.correlation_id for entry in processor.ledger} for name, processor in processors.items()}
    return Figures(
        offered,
        {name: settled[name] for name in processors},
        {name: len(ids) for name, ids in booked.items()},
        len(set.intersection(*booked.values())),
        {name: processor.calls for name, processor in processors.items()},
    )


def start_gateway(policy: Policy, rng: Random, game: SimulatedGame = PREVIEW, replica_count: int = REPLICAS) -> Cluster:
    """Start replicas that follow a policy, and let time pass until they know of each other."""
    forced_closed = policy.breaker is None
    conditions = Conditions(
        processors=tuple(Processor(name, "", Decimal(fee) / 100) for name, fee in game.fees_percent.items()),
        commit_s=COMMIT_S,
        network_s=SERVICE_S,
        outage_patience_s=policy.patience.outage_s,
        backlog_patience_s=policy.patience.backlog_s,
        outage_backlog_s=policy.patience.outage_backlog_s,
        slow_s=policy.slow_s,
        breaker_limits=policy.breaker or BreakerLimits(),
        concurrency_limits=policy.concurrency,
        rate_limits=RateLimits(per_s_min=STARTS_PER_S, per_s_initial=STARTS_PER_S, per_s_max=STARTS_PER_S),
        make_routes=policy.make_routes,
    )
    cluster = Cluster(conditions, [str(number + 1) for number in range(replica_count)], rng)
    for replica in cluster.replicas.values():
        replica.start()
        if forced_closed:
            for processor in replica.system.processors.values():
                processor.tell(HoldBreaker(BreakerState.FORCED_CLOSED))
        cluster.clock.run(cluster.clock.time_s + rng.uniform(0, READ_S))
    cluster.clock.run(cluster.clock.time_s + 2 * POLL_S + rng.uniform(0, POLL_S))
    return cluster


def behave(processor: PaymentProcessor, condition: Condition, seed: int) -> None:
    """Let a processor delay and fail from now on. Its health endpoint tells only of failures of all charges."""
    processor.delay_ms = round(condition.delay_s * 1000)
    processor.failing = condition.failure_rate >= 1
    processor.faults = Faults(seed=seed, failure_rate=0.0 if processor.failing else condition.failure_rate)


def best_cents(game: SimulatedGame) -> float:
    """Bound the profit from above.

    Each payment is charged at the low fee where default works at any moment between its arrival and the end, late
    enough and soon enough for its delay, else at the high one where fallback does; as if any number of charges could be
    made at once.
    """
    last_s = {name: _last_start_s(conditions(game.table, name), _end_s(game)) for name in game.fees_percent}
    profits = (
        next((game.left_cents(name) for name, moment_s in last_s.items() if at_s <= moment_s), 0)
        for at_s, _ in game.arrivals()
    )
    return sum(profits)


def conditions(table: Table, processor: str) -> list[tuple[float, Condition]]:
    """Give the conditions of one processor, each with the moment at which it begins."""
    return [(stage.from_s, getattr(stage, processor)) for stage in table]


def _end_s(game: SimulatedGame) -> float:
    return game.duration_s + COUNTED_S


def _last_start_s(behaviour: list[tuple[float, Condition]], end_of_all_s: float) -> float:
    """Find the last moment at which a charge can begin that succeeds before the end."""
    ends_s = [from_s for from_s, _ in behaviour[1:]] + [end_of_all_s]
    stages = [(from_s, end_s, condition) for (from_s, condition), end_s in zip(behaviour, ends_s, strict=True)]
    last_s = -1.0
    for from_s, end_s, condition in stages:
        duration_s = SERVICE_S + condition.delay_s
        for working_from_s, working_end_s, then in stages:
            done_s = min(end_s + duration_s, working_end_s)
            if then.failure_rate < 1 and done_s > max(from_s + duration_s, working_from_s):
                last_s = max(last_s, done_s - duration_s)
    return last_s
