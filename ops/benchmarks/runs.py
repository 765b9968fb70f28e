"""One policy through one stage table, and the most that any could have made of it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from ops.benchmarks.gateway import Fleet, Policy
from ops.benchmarks.simulation import SERVICE_S, SimulatedProcessor, Simulation
from ops.benchmarks.stages import AMOUNT_CENTS, DURATION_S, FEES_PERCENT, USERS_MAX, Condition, Table, arrivals


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of one run."""

    offered: int
    settled: Mapping[str, int]
    """Payments whose charge was answered by the end, by processor."""
    booked: Mapping[str, int]
    """Charges in the books of each processor; more than settled where an answer was still on its way."""
    booked_twice: int
    calls: Mapping[str, int]

    @property
    def profit_cents(self) -> float:
        """What is left of the settled amounts after the fees."""
        return sum(count * _left_cents(name) for name, count in self.settled.items())

    @property
    def default_share(self) -> float:
        """Share of the offered payments that were settled on default."""
        return self.settled["default"] / self.offered


def simulate(
    table: Table, policy: Policy, seed: int = 1, users: int = USERS_MAX, until_s: float = DURATION_S
) -> Figures:
    """Run the event's load, and count at `until_s`; the same arguments give the same figures."""
    simulation = Simulation()
    processors = {
        name: SimulatedProcessor(simulation, conditions(table, name), _chance(seed, name)) for name in FEES_PERCENT
    }
    fleet = Fleet(simulation, processors, policy, _chance(seed, "fleet"))
    offered = 0
    for offered, (at_s, user) in enumerate(arrivals(users), start=1):
        # A user keeps its connection, so its replica.
        simulation.call_at(at_s, fleet.replicas[user % len(fleet.replicas)].accept, offered)
    simulation.run(until_s)
    settled = Counter(fleet.settled.values())
    return Figures(
        offered,
        {name: settled[name] for name in processors},
        {name: len(processor.booked) for name, processor in processors.items()},
        len(processors["default"].booked & processors["fallback"].booked),
        {name: processor.calls for name, processor in processors.items()},
    )


def best_cents(table: Table, users: int = USERS_MAX) -> float:
    """Bound the profit from above.

    Each payment is charged at 5 % where default works at any moment between its arrival and the end, late enough and
    soon enough for its delay, else at 15 % where fallback does; as if any number of charges could be made at once.
    """
    last_s = {name: _last_start_s(conditions(table, name)) for name in FEES_PERCENT}
    profits = (
        next((_left_cents(name) for name, moment_s in last_s.items() if at_s <= moment_s), 0)
        for at_s, _ in arrivals(users)
    )
    return sum(profits)


def conditions(table: Table, processor: str) -> list[tuple[float, Condition]]:
    """Give how one processor behaves from which moment on."""
    return [(stage.from_s, getattr(stage, processor)) for stage in table]


def _last_start_s(behaviour: list[tuple[float, Condition]]) -> float:
    """Find the last moment at which a charge can begin that succeeds before the end."""
    ends_s = [from_s for from_s, _ in behaviour[1:]] + [DURATION_S]
    stages = [(from_s, end_s, condition) for (from_s, condition), end_s in zip(behaviour, ends_s, strict=True)]
    last_s = -1.0
    for from_s, end_s, condition in stages:
        duration_s = SERVICE_S + condition.delay_s
        for working_from_s, working_end_s, then in stages:
            done_s = min(end_s + duration_s, working_end_s)
            if then.failure_rate < 1 and done_s > max(from_s + duration_s, working_from_s):
                last_s = max(last_s, done_s - duration_s)
    return last_s


def _left_cents(processor: str) -> float:
    return AMOUNT_CENTS * (100 - FEES_PERCENT[processor]) / 100


def _chance(seed: int, name: str) -> Random:
    return Random(f"{seed} {name}")  # noqa: S311  # no secret
