"""Keeps the results of runs, so that an interrupted or repeated run goes on, and reads which survivors were judged."""

import json
import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from ops.mutationtest.covering import hash_of
from ops.mutationtest.mutants import Mutant
from ops.mutationtest.runs import MutantOutcome


class Results:
    """The results of all runs, in a file to which each is appended at once."""

    def __init__(self, path: Path) -> None:
        """`path` is made where it is missing."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        self._path = path
        entries = map(json.loads, path.read_text().splitlines())
        self._known = {entry["key"]: (MutantOutcome(entry["outcome"]), entry["tests"]) for entry in entries}

    def get(self, mutant: Mutant, tests: tuple[str, ...]) -> MutantOutcome | None:
        """Find the result of a mutant; None if it has none, or survived other tests than these are today."""
        outcome, survived = self._known.get(mutant.key, (None, ""))
        return None if outcome is MutantOutcome.SURVIVED and survived != hash_of(tests) else outcome

    def add(self, mutant: Mutant, tests: tuple[str, ...], outcome: MutantOutcome) -> None:
        """Keep the result of a mutant."""
        entry = {"key": mutant.key, "outcome": outcome.value, "tests": hash_of(tests), "name": mutant.name}
        with self._path.open("a") as file:
            file.write(json.dumps(entry) + "\n")


@dataclass(frozen=True, slots=True)
class JudgedSurvivors:
    """The survivors of which it was found that no test has to kill them."""

    names: tuple[str, ...]
    """Their names; one that ends with `*` stands for all that begin like it."""

    def hold(self, mutant: Mutant) -> bool:
        """Tell whether a mutant is among them."""
        begins = tuple(name.removesuffix("*") for name in self.names if name.endswith("*"))
        return mutant.name in self.names or mutant.name.startswith(begins)

    def killed(self, module: str, survivors: Collection[Mutant]) -> list[str]:
        """Give the names of a module's mutants that are judged, although they are none of its survivors."""
        survived = {mutant.name for mutant in survivors}
        own = (name for name in self.names if name.startswith((f"{module}.", f"{module}:")))
        return [name for name in own if not name.endswith("*") and name not in survived]


def read_judged(path: Path) -> JudgedSurvivors:
    """Read the judged survivors, which stand in groups by the reason."""
    return JudgedSurvivors(
        tuple(name for group in tomllib.loads(path.read_text())["group"] for name in group["mutants"])
    )
