"""The schedule of a chaos run: which fault is injected where, when and for how long, as the seed decides."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from random import Random

from ops.chaostest.profiles import PROCESSORS, FaultChoice, Profile, Range

LEAST_LEFT_S = 1.0
"""No fault starts later than this many seconds before the end of the load."""
FIRST_AT_S = 1.0
"""When the first fault starts."""


@dataclass(frozen=True, slots=True)
class ScheduledFault:
    """One fault; only a fault without end outlasts the load."""

    at_s: float
    """When it starts, in seconds from the start of the load."""
    fault: str
    target: str
    duration_s: float | None
    """How long it lasts; None for ever."""
    parameters: Mapping[str, float] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """The name under which it is counted, such as `kill_replica`."""
        return f"{self.fault}_{self.target.partition('-')[0]}"

    @property
    def ends_at_s(self) -> float:
        """When it ends, in seconds from the start of the load."""
        return math.inf if self.duration_s is None else self.at_s + self.duration_s


def make_schedule(seed: int, seconds: float, profile: Profile) -> tuple[ScheduledFault, ...]:
    """Draw the faults of a run in the order of their starts.

    Faults of the same process never overlap; those of the same processor may.
    """
    schedule = [
        ScheduledFault(
            round(begin * seconds, 3),
            choice.fault,
            target,
            round((end - begin) * seconds, 3),
            _draw(choice.parameters, Random(f"{seed} {target}")),  # noqa: S311 - a schedule has to repeat
        )
        for (begin, end), choice in profile.fixed_faults
        for target in choice.targets
    ]
    for choice in profile.lasting_faults:
        rng = Random(f"{seed} {choice.fault}")  # noqa: S311 - a schedule has to repeat
        parameters = _draw(choice.parameters, rng)
        schedule += [
            ScheduledFault(round(seconds / 3, 3), choice.fault, target, None, parameters) for target in choice.targets
        ]
    for number, (gap_s, choices) in enumerate(profile.random_faults):
        rng = Random(f"{seed} {number}")  # noqa: S311 - a schedule has to repeat
        for at_s in _instants(rng, gap_s, seconds):
            schedule.extend(_draw_faults(rng, choices, at_s, seconds, schedule))
    return tuple(sorted(schedule, key=lambda fault: (fault.at_s, fault.target, fault.fault)))


def _instants(rng: Random, gap_s: Range, seconds: float) -> Iterator[float]:
    at_s = FIRST_AT_S
    while at_s <= seconds - LEAST_LEFT_S:
        yield round(at_s, 3)
        at_s += rng.uniform(*gap_s)


def _draw_faults(
    rng: Random, choices: tuple[FaultChoice, ...], at_s: float, seconds: float, schedule: list[ScheduledFault]
) -> Iterator[ScheduledFault]:
    choice = rng.choices(choices, [each.weight for each in choices])[0]
    duration_s = round(min(rng.uniform(*rng.choice(choice.durations_s)), seconds - at_s), 3)
    parameters = _draw(choice.parameters, rng)
    # Drawn even where it is not used, so that later faults do not depend on which earlier ones were left out.
    target = rng.choice(choice.targets)
    for each in choice.targets if choice.together else (target,):
        fault = ScheduledFault(at_s, choice.fault, each, duration_s, parameters)
        if each in PROCESSORS or not any(_collide(fault, other) for other in schedule):
            yield fault


def _collide(fault: ScheduledFault, other: ScheduledFault) -> bool:
    return fault.target == other.target and fault.at_s <= other.ends_at_s and other.at_s <= fault.ends_at_s


def _draw(parameters: Mapping[str, Range], rng: Random) -> dict[str, float]:
    return {name: round(rng.uniform(*bounds), 3) for name, bounds in parameters.items()}
