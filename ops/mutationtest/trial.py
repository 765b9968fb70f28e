"""Which mutants are tried, and what is concluded from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt
from random import Random

from ops.mutationtest.mutants import Mutant

TRIED_MIN = 6
"""The fewest mutants of a module that are drawn."""
QUANTILE = 1.96
"""How many standard deviations on each side hold 95 % of what may come of drawing."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Which mutants are tried, and how."""

    modules: Sequence[str]
    share: float
    """The share of each module's mutants."""
    seed: int
    test_s_max: float
    """How long the tests of one mutant may take; the quickest are run."""

    @property
    def is_whole(self) -> bool:
        """Whether every mutant is tried with all of its tests."""
        return self.share >= 1 and self.test_s_max == inf

    def draw(self, module: str, mutants: Sequence[Mutant]) -> Sequence[Mutant]:
        """Draw the mutants that are tried, in the order of their lines. A larger share holds a smaller one."""
        count = min(len(mutants), max(TRIED_MIN, round(self.share * len(mutants))))
        places = list(range(len(mutants)))
        Random(f"{self.seed} {module}").shuffle(places)  # noqa: S311  # no secret
        return [mutants[place] for place in sorted(places[:count])]


@dataclass(frozen=True, slots=True)
class ModuleReport:
    """What became of the mutants of one module."""

    made: int
    tried: int
    survivors: tuple[Mutant, ...]

    @property
    def killed(self) -> int:
        """How many were killed."""
        return self.tried - len(self.survivors)


def estimate(reports: Sequence[ModuleReport]) -> tuple[float, float]:
    """Estimate the share of all mutants that tests kill, and how far off that may be with a confidence of 95 %.

    Modules are strata: each counts by all of its mutants, whatever share of them was tried.
    """
    made = sum(report.made for report in reports)
    score = variance = 0.0
    for report in reports:
        if report.tried:
            rate, weight = report.killed / report.tried, report.made / made
            score += weight * rate
            rest = 1 - report.tried / report.made
            variance += weight**2 * rest * rate * (1 - rate) / max(1, report.tried - 1)
    return score, QUANTILE * sqrt(variance)
