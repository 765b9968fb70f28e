"""`python -m ops.stack`, which is `ops/up`: run a whole gateway in the foreground."""

import os
import sys
from collections.abc import Sequence

from ops import OpsError
from ops.foreground import on_stop_signal, print_line
from ops.stack.settings import parse_stack_options
from ops.stack.stack import Stack, StackInterrupted


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a stack until SIGINT, SIGTERM or SIGHUP; return 1 where it cannot start, else 0."""
    options = parse_stack_options(sys.argv[1:] if arguments is None else arguments, os.environ)
    stack = Stack(options, print_line)
    on_stop_signal(stack.ask_to_stop)
    try:
        with stack:
            print_line(f"ready http://localhost:{options.port}")
            stack.watch()
            print_line("stopping")
    except StackInterrupted:
        print_line("stopped before it was ready")
    except OpsError as error:
        print(f"ops/up: {error}", file=sys.stderr)  # noqa: T201 - what ops/up shows
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
