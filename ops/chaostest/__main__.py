"""`python -m ops.chaostest`, which is `ops/chaos`."""

import sys
from collections.abc import Sequence

from ops import OpsError
from ops.chaostest.options import parse_chaos_options
from ops.chaostest.runner import ChaosRunner
from ops.foreground import on_stop_signal, print_line
from ops.stack.stack import StackInterrupted


def main(arguments: Sequence[str] | None = None) -> int:
    """Do one chaos run; return 0 where every promise was kept, 1 where one broke or the run could not be finished."""
    options = parse_chaos_options(sys.argv[1:] if arguments is None else arguments)
    runner = ChaosRunner(options, print_line)
    on_stop_signal(runner.ask_to_stop)
    try:
        result = runner.run()
    except StackInterrupted:
        print_line("given up: everything is ended, nothing was checked")
        return 1
    except OpsError as error:
        print_line(f"ops/chaos: {error}; what is known: {options.out}")
        return 1
    if result.check.lost_conflicts:
        print_line(f"{len(result.check.lost_conflicts)} other amounts were answered 202 and are reported nowhere")
    if not result.ok:
        print_line(f"a promise broke; what is known: {options.out}")
    print_line(result.to_json())
    return 0 if result.ok else 1


if __name__ == "__main__":
    sys.exit(main())
