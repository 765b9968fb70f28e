"""Finds the tests that run each line of the domain, and how long each of them takes."""

import hashlib
import json
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import inf
from pathlib import Path

import coverage
import pytest

from ops.environment import ROOT
from ops.mutationtest.mutants import MutatedPlace

IMPORTED = re.compile(r"^from actors\.domain\.(\w+) import ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class CoveringTests:
    """The tests of the domain by what they run."""

    seconds: Mapping[str, float]
    """How long each test takes, by its node's id."""
    by_line: Mapping[str, Mapping[int, frozenset[str]]]
    """The tests that run a line, by the module's name and the number of the line."""
    by_import: Mapping[str, frozenset[str]]
    """The tests in files that import a module."""

    def of(self, module: str, place: MutatedPlace, seconds_max: float = inf) -> tuple[str, ...]:
        """Return the tests that can notice a mistake: those in the module's own files first, the quickest first.

        What Python runs while it imports a module is of no test: there all tests of the function count, or those that
        run any line of the module or stand in a file that imports it. Of tests that take longer than `seconds_max`
        together, the slowest are left out.
        """
        of_lines = self._that_run(module, place.lines) or self._that_run(module, place.function_lines)
        of_module = self._that_run(module, self.by_line.get(module, {})) | self.by_import.get(module, frozenset())
        tests = sorted(of_lines or of_module, key=lambda test: (self.seconds[test], test))
        ends_s = accumulate(self.seconds[test] for test in tests)
        kept = [test for test, end_s in zip(tests, ends_s, strict=True) if end_s <= seconds_max]
        return tuple(sorted(kept or tests[:1], key=lambda test: not is_own(test, module)))

    def _that_run(self, module: str, lines: Iterable[int]) -> frozenset[str]:
        by_line = self.by_line.get(module, {})
        return frozenset[str]().union(*(by_line.get(line, ()) for line in lines))


def is_own(test: str, module: str) -> bool:
    """Tell whether a test stands in a file that is named after the module."""
    return Path(file_of(test)).name.startswith(f"test_{module}")


def file_of(test: str) -> str:
    """Return the file of a test."""
    return test.partition("::")[0]


def hash_of(tests: Sequence[str]) -> str:
    """Return a hash of tests and of their files."""
    texts = [(ROOT / file).read_text() for file in sorted({*map(file_of, tests)})]
    return hashlib.sha256("\n".join([*tests, *texts]).encode()).hexdigest()


class CoverageRecorder:
    """A plugin of pytest that notes which lines each test runs."""

    def __init__(self, source: Path) -> None:
        """`source` is the folder whose files are looked at."""
        self._coverage = coverage.Coverage(data_file=None, config_file=False, include=[f"{source}/*"])
        self._seconds: dict[str, float] = {}
        self._failed: set[str] = set()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self) -> Iterator[None]:
        """Look at what is run from now on."""
        self._coverage.start()
        result = yield
        self._coverage.stop()
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Look at what the next test runs."""
        self._coverage.switch_context(nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how long a test took, and whether it failed: it may measure memory, or time, which this takes too."""
        self._seconds[report.nodeid] = self._seconds.get(report.nodeid, 0.0) + report.duration
        if report.failed:
            self._failed.add(report.nodeid)

    def write(self, path: Path) -> None:
        """Write what was noted of the tests that passed."""
        data = self._coverage.get_data()
        by_line = {
            Path(file).stem: {
                line: [test for test in tests if test in self._seconds and test not in self._failed]
                for line, tests in data.contexts_by_lineno(file).items()
            }
            for file in data.measured_files()
        }
        unfinished = path.with_suffix(f".{os.getpid()}")  # Another run may write the same.
        unfinished.write_text(json.dumps({"seconds": self._seconds, "failed": [*self._failed], "by_line": by_line}))
        unfinished.rename(path)


def read_covering_tests(paths: Iterable[Path]) -> CoveringTests:
    """Read what recorders have written."""
    seconds: dict[str, float] = {}
    by_line: dict[str, dict[int, frozenset[str]]] = defaultdict(dict)
    by_import: dict[str, frozenset[str]] = defaultdict(frozenset)
    for path in paths:
        document = json.loads(path.read_text())
        seconds |= document["seconds"]
        for module, lines in document["by_line"].items():
            for line, tests in lines.items():
                by_line[module][int(line)] = by_line[module].get(int(line), frozenset()).union(tests)
        for file in {*map(file_of, document["seconds"])}:
            tests = [test for test in document["seconds"] if test not in document["failed"]]
            for module in IMPORTED.findall((ROOT / file).read_text()):
                by_import[module] |= frozenset(tests)
    return CoveringTests(seconds, by_line, by_import)
