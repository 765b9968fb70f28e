"""A mistake is made in every place that a test can reach, and is found by the tests that reach it."""

import subprocess
import sys
from math import inf
from pathlib import Path

import pytest

pytest.importorskip("mutmut", reason="requirements-checks.txt has it, which .ci/run installs")

from ops.environment import ROOT, environment_variables
from ops.mutationtest.__main__ import JUDGED
from ops.mutationtest.covering import CoveringTests
from ops.mutationtest.mutants import Mutant, MutatedPlace, make_mutants
from ops.mutationtest.results import JudgedSurvivors, Results, read_judged
from ops.mutationtest.runs import SOURCE, MutantOutcome
from ops.mutationtest.trial import ModuleReport, Trial, estimate

MODULE = '''\
"""A module."""

from dataclasses import dataclass

LIMIT = 3


@dataclass(frozen=True)
class Queue:
    """A queue."""

    size: int = 0

    @property
    def is_full(self) -> bool:
        """Whether it is full."""
        return self.size >= LIMIT

    def grow(self, log: list[int]) -> None:
        log.append(
            self.size,
        )
'''
"""What mutmut itself leaves alone: decorated classes and properties, and what stands outside of functions."""


def made() -> dict[str, Mutant]:
    return {mutant.name: mutant for mutant in make_mutants("queue", MODULE)}


def test_mistakes_are_made_in_constants_fields_properties_and_methods() -> None:
    assert made().keys() == {
        "queue: LIMIT = 3 -> LIMIT = None",
        "queue: LIMIT = 3 -> LIMIT = 4",
        "queue.Queue: size: int = 0 -> size: int = None",
        "queue.Queue: size: int = 0 -> size: int = 1",
        "queue.Queue.is_full: return self.size >= LIMIT -> return self.size > LIMIT",
        "queue.Queue.grow: self.size, ) -> None, )",
        "queue.Queue.grow: log.append( self.size, ) -> pass",
    }


def test_a_mutant_is_the_module_with_one_mistake() -> None:
    mutant = made()["queue: LIMIT = 3 -> LIMIT = 4"]
    assert mutant.source == MODULE.replace("LIMIT = 3", "LIMIT = 4")
    assert len({each.key for each in made().values()}) == len(made())


def test_the_place_of_a_mistake_is_its_whole_statement_and_its_function() -> None:
    place = made()["queue.Queue.grow: self.size, ) -> None, )"].place
    assert (place.lines, place.function_lines) == (range(20, 23), range(19, 23))
    assert made()["queue: LIMIT = 3 -> LIMIT = 4"].place == MutatedPlace(
        (), range(5, 6), range(0), is_in_statement=True
    )


def test_the_tests_of_the_line_count_else_those_of_its_function_else_those_of_its_module() -> None:
    lines = {1: frozenset[str](), 4: frozenset({"slow", "quick"}), 5: frozenset({"quick"}), 9: frozenset({"other"})}
    covering = CoveringTests(
        {"slow": 2.0, "quick": 0.1, "other": 1.0, "import": 3.0},
        {"queue": lines},
        {"queue": frozenset({"quick", "import"})},
    )
    assert covering.of("queue", MutatedPlace((), range(4, 5), range(3, 6))) == ("quick", "slow")
    assert covering.of("queue", MutatedPlace((), range(3, 4), range(3, 6))) == ("quick", "slow")
    assert covering.of("queue", MutatedPlace((), range(5, 6), range(3, 6))) == ("quick",)
    assert covering.of("queue", MutatedPlace((), range(1, 2))) == ("quick", "other", "slow", "import")
    assert covering.of("stack", MutatedPlace((), range(1, 2))) == ()


def test_the_modules_own_tests_come_first_and_the_slowest_are_left_out_where_there_are_too_many() -> None:
    own, other, slow = "tests/test_queue.py::a", "tests/test_other.py::b", "tests/test_queue.py::c"
    covering = CoveringTests({own: 0.2, other: 0.1, slow: 3.0}, {"queue": {4: frozenset({own, other, slow})}}, {})
    place = MutatedPlace((), range(4, 5))
    assert covering.of("queue", place) == (own, slow, other)
    assert covering.of("queue", place, 1.0) == (own, other)
    assert covering.of("queue", place, 0.05) == (other,)


def test_a_larger_share_holds_the_mutants_of_a_smaller_one() -> None:
    mutants = [Mutant("queue", str(number), MutatedPlace(), "", "") for number in range(100)]
    small, large = (Trial(["queue"], share, 1, inf).draw("queue", mutants) for share in (0.2, 0.5))
    assert (len(small), len(large)) == (20, 50)
    assert {each.source for each in small} <= {each.source for each in large}
    assert [int(each.source) for each in large] == sorted(int(each.source) for each in large)
    assert Trial(["queue"], 1.0, 1, inf).draw("queue", mutants) == mutants


def test_each_module_counts_by_all_of_its_mutants_and_what_was_tried_whole_is_certain() -> None:
    survivor = Mutant("queue", "", MutatedPlace(), "", "")
    assert estimate([ModuleReport(10, 10, (survivor,)), ModuleReport(0, 0, ())]) == (0.9, 0.0)
    score, margin = estimate([ModuleReport(300, 10, (survivor,) * 5), ModuleReport(100, 100, ())])
    assert score == pytest.approx(0.5 * 0.75 + 0.25)
    assert margin == pytest.approx(1.96 * 0.75 * (290 / 300 * 0.25 / 9) ** 0.5)


def test_what_was_found_before_is_found_again_unless_it_survived_other_tests(tmp_path: Path) -> None:
    killed, survived, new = list(made().values())[:3]
    tests, others = ("tests/test_words.py::a",), ("tests/test_words.py::b",)
    results = Results(tmp_path / "var" / "results")
    results.add(killed, tests, MutantOutcome.KILLED)
    results.add(survived, tests, MutantOutcome.SURVIVED)
    again = Results(tmp_path / "var" / "results")
    assert [again.get(each, tests) for each in (killed, survived, new)] == [
        MutantOutcome.KILLED,
        MutantOutcome.SURVIVED,
        None,
    ]
    assert [again.get(each, others) for each in (killed, survived)] == [MutantOutcome.KILLED, None]


def test_every_judged_survivor_still_stands_in_its_module() -> None:
    gone = []
    for name in read_judged(JUDGED).names:
        place, _, change = name.partition(": ")
        lines = _source(place.partition(".")[0]).splitlines()
        if change.partition(" -> ")[0].rstrip("*") not in " ".join(map(str.strip, lines)):
            gone.append(name)
    assert gone == []


def test_a_survivor_is_judged_by_its_name_or_by_how_that_begins() -> None:
    one, two, *_ = made().values()
    for names, expected in (((one.name,), (True, False)), (("queue: LIMIT*",), (True, True)), ((), (False, False))):
        judged = JudgedSurvivors(names)
        assert (judged.hold(one), judged.hold(two)) == expected


def test_a_judged_name_that_is_no_survivors_was_judged_in_vain() -> None:
    one, two, *_ = made().values()
    judged = JudgedSurvivors((one.name, two.name, "queue: *", "other: A = 1 -> A = 2"))
    assert judged.killed("queue", [two]) == [one.name]


def test_only_a_run_of_all_mutants_with_all_tests_is_whole() -> None:
    runs = [Trial(["queue"], share, 1, test_s_max) for share, test_s_max in ((1.0, inf), (0.5, inf), (1.0, 4.0))]
    assert [run.is_whole for run in runs] == [True, False, False]


def _source(module: str) -> str:
    return (SOURCE / f"{module}.py").read_text()


@pytest.mark.parametrize(
    ("before", "after", "outcome"), [("2.0 **", "3.0 **", "KILLED"), ("2.0 **", "2 **", "SURVIVED")]
)
def test_tests_kill_a_planted_mistake_and_let_pass_what_makes_no_difference(
    before: str, after: str, outcome: str
) -> None:
    program = f"""
from ops.mutationtest.covering import CoveringTests
from ops.mutationtest.runs import TESTS, prepare, try_mutant
prepare(TESTS / "test_backoff.py")
source = {_source("backoff").replace(before, after)!r}
tests = ["tests/actors/domain/test_backoff.py::test_pauses_double_from_the_first_to_the_longest"]
print(try_mutant("backoff", source, tests, CoveringTests(dict.fromkeys(tests, 1.0), {{}}, {{}})).name)
"""
    done = subprocess.run(  # noqa: S603 - ours
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment_variables(),
    )
    assert done.stdout.strip() == outcome
