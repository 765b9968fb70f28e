"""The plan of a trial: which fault meets whom, when, and for how long; the same seed gives the same plan."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from random import Random

from ops.trial.profiles import Profile, Range, Spell

LEAST_LEFT_S = 1.0
"""A fault begins at least this long before the end."""
FIRST_AT_S = 1.0


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """One fault; all but one that never ends are over when the trial's load is."""

    at_s: float
    fault: str
    target: str
    duration_s: float | None
    """None: for ever."""
    parameters: Mapping[str, float] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """What it is counted as, such as `kill_replica`."""
        return f"{self.fault}_{self.target.partition('-')[0]}"

    @property
    def ends_at_s(self) -> float:
        """When it is over."""
        return math.inf if self.duration_s is None else self.at_s + self.duration_s


def make_plan(seed: int, seconds: float, profile: Profile) -> tuple[PlannedFault, ...]:
    """Draw the faults of a trial, in their order.

    Faults of one process never overlap, those of one processor may.
    """
    plan = [
        PlannedFault(
            round(begin * seconds, 3),
            spell.fault,
            target,
            round((end - begin) * seconds, 3),
            _draw(spell.parameters, Random(f"{seed} {target}")),  # noqa: S311 - a plan has to repeat
        )
        for (begin, end), spell in profile.acts
        for target in spell.targets
    ]
    if profile.gone is not None:
        plan.append(PlannedFault(round(seconds / 3, 3), "kill", profile.gone, None))
    for number, (gap_s, spells) in enumerate(profile.spells):
        chance = Random(f"{seed} {number}")  # noqa: S311 - the same
        for at_s in _instants(chance, gap_s, seconds):
            plan.extend(_begin(chance, spells, at_s, seconds, plan))
    return tuple(sorted(plan, key=lambda fault: (fault.at_s, fault.target, fault.fault)))


def _instants(chance: Random, gap_s: Range, seconds: float) -> Iterator[float]:
    at_s = FIRST_AT_S
    while at_s <= seconds - LEAST_LEFT_S:
        yield round(at_s, 3)
        at_s += chance.uniform(*gap_s)


def _begin(
    chance: Random, spells: tuple[Spell, ...], at_s: float, seconds: float, plan: list[PlannedFault]
) -> Iterator[PlannedFault]:
    spell = chance.choices(spells, [spell.weight for spell in spells])[0]
    duration_s = round(min(chance.uniform(*chance.choice(spell.durations_s)), seconds - at_s), 3)
    parameters = _draw(spell.parameters, chance)
    # Drawn before anything is left out, so that what happens at one moment doesn't depend on the faults before.
    target = chance.choice(spell.targets)
    for met in spell.targets if spell.together else (target,):
        fault = PlannedFault(at_s, spell.fault, met, duration_s, parameters)
        if parameters or not any(_collide(fault, other) for other in plan):
            yield fault


def _collide(fault: PlannedFault, other: PlannedFault) -> bool:
    return fault.target == other.target and fault.at_s <= other.ends_at_s and other.at_s <= fault.ends_at_s


def _draw(parameters: Mapping[str, Range], chance: Random) -> dict[str, float]:
    return {name: round(chance.uniform(*bounds), 3) for name, bounds in parameters.items()}
