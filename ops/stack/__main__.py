"""`python -m ops.stack`, which is `ops/up`: run a whole gateway in the foreground."""

import os
import sys
from collections.abc import Sequence

from ops import OpsError
from ops.foreground import on_stop_signal, print_line
from ops.stack.settings import parse_stack_options
from ops.stack.stack import Stack, StackInterrupted
from ops.stack.status_line import keep_drawing, on_terminal


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a stack until SIGINT, SIGTERM or SIGHUP; return 1 where it cannot start, else 0."""
    options = parse_stack_options(sys.argv[1:] if arguments is None else arguments, os.environ)
    status_line = on_terminal() if sys.stdout.isatty() else None
    say = status_line.say if status_line else print_line
    stack = Stack(options, say)
    on_stop_signal(stack.ask_to_stop)
    if status_line:
        say(f"live page   http://localhost:{options.port}/")
    try:
        with stack:
            say(f"ready http://localhost:{options.port}")
            if status_line:
                keep_drawing(status_line, options.port, lambda: stack.replica_states)
            stack.watch()
            if status_line:
                status_line.end()
            say("stopping")
    except StackInterrupted:
        say("stopped before it was ready")
    except OpsError as error:
        print(f"ops/up: {error}", file=sys.stderr)  # noqa: T201 - what ops/up shows
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
