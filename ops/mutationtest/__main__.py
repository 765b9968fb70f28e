"""`python -m ops.mutationtest`, which docs/checks.md describes."""

import math
import sys
from collections.abc import Sequence
from pathlib import Path

from ops import ExitStatus, OpsError
from ops.arguments import make_parser, positive_number
from ops.console import Console, RunVerdict
from ops.environment import ROOT
from ops.foreground import interrupt_on_end_signals, run_command
from ops.mutationtest.covering import CoveringTests
from ops.mutationtest.mutants import MutatedPlace, make_mutants
from ops.mutationtest.results import Results, read_judged
from ops.mutationtest.runs import SOURCE, MutantOutcome, find_covering_tests, prepare, try_mutant
from ops.mutationtest.trial import ModuleReport, Trial, estimate

COMMAND = "python -m ops.mutationtest"
KEPT = ROOT / "var" / "mutationtest"
JUDGED = Path(__file__).parent / "judged.toml"
SCORE_MIN = 0.85
"""The smallest share of all mutants that tests have to kill."""
MODULES = sorted(path.stem for path in SOURCE.glob("*.py") if path.stem != "__init__")


def main(arguments: Sequence[str] | None = None) -> int:
    """Try all mutants of the modules that were named, or of all."""
    parser = make_parser(
        COMMAND,
        "Change actors/domain in small ways, one at a time, and run the tests that reach the change. "
        "A mutant that no test kills shows what no test looks at.",
        kept=f"at least {SCORE_MIN:.0%} of the mutants were killed, and exactly the survivors are judged",
        broken="fewer were killed, a survivor was not judged, or one that was judged is killed",
        takes="25 minutes for all, in two runs at once on two cores; what was found before is not tried again",
        examples={COMMAND: "all modules", f"{COMMAND} breaker money": "two of them"},
        notes=f"Results are kept in {KEPT.relative_to(ROOT)}; without it everything is tried anew. "
        f"{JUDGED.relative_to(ROOT)} says of each survivor why it behaves as the original.",
    )
    parser.add_argument("modules", nargs="*", choices=[*MODULES, []], metavar="MODULE", help="default: all")
    parser.add_argument(
        "--share", type=positive_number, default=1.0, help="try a random share of each module's mutants"
    )
    parser.add_argument("--seed", type=int, default=1, help="draws them; default: 1")
    parser.add_argument(
        "--test-seconds", type=positive_number, default=math.inf, help="run only the quickest tests, up to this long"
    )
    given = parser.parse_args(sys.argv[1:] if arguments is None else arguments)
    trial = Trial(given.modules or MODULES, given.share, given.seed, given.test_seconds)
    return run_command(COMMAND, lambda: _run(trial, Console()))


def _run(trial: Trial, console: Console) -> ExitStatus:
    prepare()
    covering, results, judged = find_covering_tests(KEPT / "covering"), Results(KEPT / "results"), read_judged(JUDGED)
    reports, judged_in_vain = [], 0
    for module in trial.modules:
        report = _try_module(module, trial, covering, results, console)
        unjudged = [mutant for mutant in report.survivors if not judged.hold(mutant)]
        for mutant in unjudged:
            console.say(f"actors/domain/{module}.py:{mutant.place.lines.start} {mutant.name}")
        for name in judged.killed(module, report.survivors) if trial.is_whole else ():
            judged_in_vain += 1
            console.say(f"judged, and killed all the same: {name}")
        console.say(f"{module:20} {report.killed:4} of {report.tried:4} killed, of {report.made:4} mutants")
        reports.append((report, len(unjudged)))
    score, margin = estimate([report for report, _ in reports])
    unjudged_count = sum(count for _, count in reports)
    tried, made = (sum(getattr(report, name) for report, _ in reports) for name in ("tried", "made"))
    words = (
        f"{score:.1%}{f' ± {margin:.1%}' if margin else ''} of {made} mutants are killed, of which {tried} were tried"
    )
    words += f"; {unjudged_count} survivors are not judged, and {judged_in_vain} that are judged were killed."
    is_kept = score >= SCORE_MIN and not unjudged_count and not judged_in_vain
    return console.conclude(RunVerdict(words, kept=is_kept), [], {})


def _try_module(module: str, trial: Trial, covering: CoveringTests, results: Results, console: Console) -> ModuleReport:
    source = (SOURCE / f"{module}.py").read_text()
    if (
        try_mutant(module, source, covering.of(module, MutatedPlace(), trial.test_s_max), covering)
        is not MutantOutcome.SURVIVED
    ):
        raise OpsError(f"the tests of {module} fail without a mistake, so that they would kill every mutant")
    mutants = list(make_mutants(module, source))
    tried = trial.draw(module, mutants)
    survivors = []
    for number, mutant in enumerate(tried):
        console.draw(f"{module}: {number} of {len(tried)}", number / len(tried))
        tests = covering.of(module, mutant.place, trial.test_s_max)
        outcome = results.get(mutant, tests)
        if outcome is None:
            outcome = try_mutant(module, mutant.source, tests, covering)
            results.add(mutant, tests, outcome)
        if outcome is MutantOutcome.SURVIVED:
            survivors.append(mutant)
    return ModuleReport(len(mutants), len(tried), tuple(survivors))


if __name__ == "__main__":
    interrupt_on_end_signals()
    sys.exit(main())
