"""Runs tests in forks of this process, which has imported what the tests need, so that each run begins at once."""

import contextlib
import gc
import hashlib
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from ops import OpsError
from ops.environment import ROOT
from ops.mutationtest.covering import CoverageRecorder, CoveringTests, file_of, is_own, read_covering_tests

PACKAGE = "actors.domain"
SOURCE = ROOT / "actors" / "domain"
TESTS = ROOT / "tests" / "actors" / "domain"
IMPORTED_ANEW = ("actors", "tests")
"""Packages that each run imports by itself, because one of their modules has the mistake."""
OPTIONS = (
    *("-q", "--noconftest", "--disable-plugin-autoload", "-W", "ignore"),
    *("-p", "no:cacheprovider", "-p", "no:faulthandler"),
    "--assert=plain",  # Rewriting assertions takes longer than most tests.
)
MEMORY_BYTES_MAX = 4 << 30
CPU_S_MIN, CPU_FACTOR = 3, 5
"""A run may take this long, and that many times what its tests take without a mistake; the rest is an endless loop."""


class MutantOutcome(Enum):
    """What became of a mutant. The values are the words that the results are kept in."""

    KILLED = "killed"
    """A test failed."""
    TIMED_OUT = "timed out"
    """It never ends, which counts as killed."""
    SURVIVED = "survived"
    """All tests passed."""


@dataclass(frozen=True, slots=True)
class _ChosenTests:
    """A plugin of pytest that runs some tests, in a given order."""

    tests: Sequence[str]

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        places = {test: place for place, test in enumerate(self.tests)}
        chosen = [item for item in items if item.nodeid in places]
        items[:] = sorted(chosen, key=lambda item: places[item.nodeid])


def prepare(tests: Path = TESTS) -> None:
    """Import what the tests need, and let Hypothesis make the same examples in each run, without simplifying them."""
    with _silence():
        if pytest.main([*OPTIONS, "--collect-only", str(tests)]) != pytest.ExitCode.OK:
            raise OpsError("the tests of the domain cannot be collected: see `ops/test tests/actors/domain`")
    for name in [name for name in sys.modules if name.partition(".")[0] in IMPORTED_ANEW]:
        del sys.modules[name]
    from hypothesis import HealthCheck, Phase, settings  # noqa: PLC0415  # pytest has to import its plugins first

    settings.register_profile(
        "mutants",
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    settings.load_profile("mutants")
    gc.collect()
    gc.freeze()


def find_covering_tests(folder: Path) -> CoveringTests:
    """Run the tests of the domain without a mistake, each file whose result is not kept in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    helpers = [path for path in TESTS.glob("*.py") if not path.name.startswith("test_")]
    shared = "".join(path.read_text() for path in sorted((*SOURCE.glob("*.py"), *helpers)))
    found = [_note_lines(test, folder, shared) for test in sorted(TESTS.glob("test_*.py"))]
    return read_covering_tests(found)


def _note_lines(test: Path, folder: Path, shared: str) -> Path:
    key = hashlib.sha256((shared + test.read_text()).encode()).hexdigest()
    found = folder / f"{test.stem}-{key[:16]}.json"

    def run() -> int:
        recorder = CoverageRecorder(SOURCE)
        pytest.main([*OPTIONS, str(test)], plugins=[recorder])
        recorder.write(found)
        return 0

    if not found.exists() and _fork(run, resource.RLIM_INFINITY) != 0:
        raise OpsError(f"{test.relative_to(ROOT)} cannot be run")
    return found


def try_mutant(module: str, source: str, tests: Sequence[str], covering: CoveringTests) -> MutantOutcome:
    """Run tests against another source of one module: those in its own files first, since most mistakes end there."""
    own = [test for test in tests if is_own(test, module)]
    for some in (own, tests[len(own) :]):
        outcome = _run_tests(module, source, some, sum(covering.seconds[test] for test in some))
        if outcome is not MutantOutcome.SURVIVED:
            return outcome
    return MutantOutcome.SURVIVED


def _run_tests(module: str, source: str, tests: Sequence[str], seconds: float) -> MutantOutcome:
    def run() -> int:
        _import(module, source)
        return pytest.main([*OPTIONS, "-x", *sorted({*map(file_of, tests)})], plugins=[_ChosenTests(tests)])

    if not tests:
        return MutantOutcome.SURVIVED
    match _fork(run, round(CPU_S_MIN + CPU_FACTOR * seconds)):
        case pytest.ExitCode.OK | pytest.ExitCode.NO_TESTS_COLLECTED:
            return MutantOutcome.SURVIVED
        case status if status == -signal.SIGXCPU:
            return MutantOutcome.TIMED_OUT
        case _:
            return MutantOutcome.KILLED


def _import(module: str, source: str) -> None:
    """Import a module of the domain from another source than its file's."""
    name, path = f"{PACKAGE}.{module}", SOURCE / f"{module}.py"
    spec = spec_from_file_location(name, path)
    assert spec is not None  # noqa: S101 - it says so to the type checker
    sys.modules[name] = imported = module_from_spec(spec)
    exec(compile(source, path, "exec"), imported.__dict__)  # noqa: S102 - it is the project's own source


def _fork(work: Callable[[], int], cpu_s_max: int) -> int:
    """Do work in a fork with limits and without output; return its exit status, or the negated signal that ended it."""
    pid = os.fork()
    if pid == 0:
        status = 1
        with contextlib.suppress(BaseException), _silence():
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
            resource.setrlimit(resource.RLIMIT_CPU, (cpu_s_max, resource.RLIM_INFINITY))
            status = int(work())
        os._exit(status)
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield
