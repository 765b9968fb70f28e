"""`python -m ops.trial`, which is `ops/chaos`."""

import contextlib
import signal
import sys
from collections.abc import Sequence

from ops import OpsError
from ops.stack import StackInterrupted
from ops.trial.options import parse_options
from ops.trial.trial import Trial


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one trial; 0 where every promise was kept, 1 where one broke or the trial could not be carried out."""
    options = parse_options(sys.argv[1:] if arguments is None else arguments)
    trial = Trial(options, _print)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: trial.ask_to_stop())
    try:
        result = trial.run()
    except StackInterrupted:
        _print("given up: everything is ended, nothing was audited")
        return 1
    except OpsError as error:
        _print(f"ops/chaos: {error}; what is known: {options.out}")
        return 1
    if result.report.lost_conflicts:
        _print(f"{len(result.report.lost_conflicts)} other amounts were answered 202 and are reported nowhere")
    if not result.ok:
        _print(f"a promise broke; what is known: {options.out}")
    _print(result.line())
    return 0 if result.ok else 1


def _print(line: str) -> None:
    # Whoever read this may be gone, as in `ops/chaos | head`; the trial goes on.
    with contextlib.suppress(BrokenPipeError):
        print(line, flush=True)  # noqa: T201 - what ops/chaos shows


if __name__ == "__main__":
    sys.exit(main())
