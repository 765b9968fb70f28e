"""`python -m ops.benchmarks`, which is `ops/bench`."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module

from ops import ExitStatus
from ops.arguments import add_json_option, make_parser
from ops.console import Console, Rows, RunVerdict
from ops.foreground import interrupt_on_end_signals, run_command

COMMAND = "ops/bench"
Figures = Mapping[str, object]
"""What a benchmark gives: `ok` decides on the exit, and `target` says in words what that means."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark that can be run by its name."""

    what: str
    """What the benchmark measures."""
    takes: str
    """How long it takes with its defaults."""
    run: Callable[[Sequence[str]], Figures]
    """Runs the benchmark with the rest of the command line."""


def _run_module(name: str, arguments: Sequence[str]) -> Figures:
    """Run a benchmark of this package; only the one that is run is imported."""
    figures: Figures = import_module(f"ops.benchmarks.{name}").run(arguments)
    return figures


BENCHMARKS: Mapping[str, Benchmark] = {
    name: Benchmark(what, takes, partial(_run_module, name))
    for name, what, takes in (
        (
            "routing",
            "fees paid in the event's games, compared with other policies",
            "more than 10 minutes; --tables 5 is shorter",
        ),
        ("breaker", "false openings of the breaker, and how soon it opens and closes", "a minute"),
        ("recovery", "how soon a processor that works again is charged again", "4 minutes"),
        ("cost", "CPU, switches, commits and latency of a payment", "3 minutes, 6 with --against"),
        ("slices", "where the time of a payment goes inside a replica", "half a minute"),
        ("memory", "peak memory of a replica", "more than 10 minutes"),
        ("http", "CPU of one POST /payments, in Fiel's worker and in gunicorn's", "a minute"),
        ("summary", "how long a summary over 10 million settlements takes", "long: they are written first"),
        ("archive", "what many settlements cost in partitions, and what archiving them does", "a minute"),
        ("durability", "latency and throughput of the levels of DURABILITY", "5 minutes"),
        ("promises", "the gains that the design promised, as measured", "a minute"),
        ("wal", "the bytes of Postgres' log for a payment when its tables are large", "half a minute"),
        ("scaling", "what each part costs by replicas and rate, and whether a model of it holds", "8 minutes"),
        ("viewers", "the CPU that viewers of the live page cost", "a minute and a quarter"),
    )
}


def main(arguments: Sequence[str] | None = None, benchmarks: Mapping[str, Benchmark] = BENCHMARKS) -> int:
    """Run one benchmark; 1 where it missed a target of its own."""
    given = _parse(sys.argv[1:] if arguments is None else arguments, benchmarks)
    return run_command(COMMAND, lambda: _run(given, benchmarks[given.name]))


def _run(given: argparse.Namespace, benchmark: Benchmark) -> ExitStatus:
    # No line of progress is drawn, since drawing would use the CPU that is measured.
    console = Console(as_json=given.json)
    figures = benchmark.run(given.arguments)
    return console.conclude(
        _judge(given.name, figures), _rows(figures), {"benchmark": given.name, **figures}, json_in_pipes=True
    )


def _judge(name: str, figures: Figures) -> RunVerdict:
    ratios = [f"{figures[key]} times the {key.removeprefix('ratio_to_')}" for key in figures if key in RATIOS]
    told = "; ".join(["", *(each for each in ratios if not each.startswith("None"))])
    if "ok" not in figures:
        return RunVerdict(f"Measured: {name} has no target{told}.", kept=True)
    kept = bool(figures["ok"])
    return RunVerdict(f"{'Kept' if kept else 'Missed'}: {figures.get('target', name)}{told}.", kept=kept)


RATIOS = ("ratio_to_baseline", "ratio_to_target")
"""Figures that stand in the verdict."""


def _rows(figures: Figures) -> Rows:
    return [
        (name, value if isinstance(value, (int, float, str)) or value is None else json.dumps(value))
        for name, value in figures.items()
    ]


def _parse(arguments: Sequence[str], benchmarks: Mapping[str, Benchmark]) -> argparse.Namespace:
    width = max(map(len, benchmarks))
    parser = make_parser(
        COMMAND,
        "Run one benchmark, with a baseline in the same call where there is one. Where standard output is no terminal, "
        "the result is one line of JSON. Each benchmark has a --help of its own.",
        kept="it was measured, and its target reached where it has one",
        broken="its target was missed",
        takes="see above, each with its defaults on two cores",
        examples={
            "ops/bench cost --against HEAD~1": "what a payment costs, beside the commit before",
            "ops/bench http --rounds 1 > http.json": "the figures in a file",
            "ops/bench --json memory --help": "the options of one",
        },
    )
    parser.add_argument("name", choices=benchmarks, metavar="NAME", help="one of the benchmarks below")
    group = parser.add_argument_group(
        "benchmarks", "\n".join(f"{name:{width}}  {each.what}; {each.takes}" for name, each in benchmarks.items())
    )
    rest = group.add_argument(
        "arguments", nargs=argparse.REMAINDER, help="of this benchmark; see ops/bench NAME --help"
    )
    rest.required = False  # Python 3.11 would name it beside a NAME that is missing.
    add_json_option(parser)
    given = parser.parse_args(arguments)
    # --json may stand behind the name as well.
    given.json = given.json or "--json" in given.arguments
    given.arguments = [each for each in given.arguments if each != "--json"]
    return given


if __name__ == "__main__":
    interrupt_on_end_signals()
    sys.exit(main())
