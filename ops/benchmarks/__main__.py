"""`python -m ops.benchmarks`, which is `ops/bench`."""

import argparse
import json
import signal
import sys
from collections.abc import Callable, Mapping, Sequence

from ops.benchmarks import breaker, cost, http, memory, promises, recovery, routing, slices, summary, viewers

Benchmarks = Mapping[str, Callable[[Sequence[str]], dict[str, object]]]
"""By name, what runs with the rest of the command line and gives its figures; `ok` decides on the exit."""

BENCHMARKS: Benchmarks = {
    "routing": routing.run,
    "breaker": breaker.run,
    "recovery": recovery.run,
    "cost": cost.run,
    "slices": slices.run,
    "memory": memory.run,
    "http": http.run,
    "summary": summary.run,
    "promises": promises.run,
    "viewers": viewers.run,
}


def main(arguments: Sequence[str] | None = None, benchmarks: Benchmarks = BENCHMARKS) -> int:
    """Run one benchmark; 1 where it missed a target of its own."""
    parser = argparse.ArgumentParser(
        prog="ops/bench",
        description="Run one benchmark. The last line is the result as JSON, with the ratio to a baseline that ran in "
        "the same call; exit status 1 where a target was missed. Each has a --help of its own.",
    )
    parser.add_argument("name", choices=benchmarks)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="of this benchmark; see ops/bench NAME --help")
    given = parser.parse_args(arguments)
    figures = benchmarks[given.name](given.arguments)
    print(json.dumps({"benchmark": given.name, **figures}), flush=True)  # noqa: T201 - what ops/bench shows
    return 0 if figures.get("ok", True) else 1


if __name__ == "__main__":
    # As Ctrl-C does, so that what a benchmark started ends with it in good order.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sys.exit(main())
