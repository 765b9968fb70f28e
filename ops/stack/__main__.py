"""`python -m ops.stack`, which is `ops/up`: run a whole gateway in the foreground."""

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ops import ExitStatus
from ops.console import Console, told_end
from ops.foreground import on_stop_signal, run_command
from ops.stack.settings import StackOptions, parse_stack_options

if TYPE_CHECKING:
    from ops.stack.stack import Stack

COMMAND = "ops/up"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a stack until SIGINT, SIGTERM or SIGHUP."""
    options = parse_stack_options(sys.argv[1:] if arguments is None else arguments, os.environ)
    return run_command(COMMAND, lambda: _run(options))


def _run(options: StackOptions) -> ExitStatus:
    # Imported here, so that --help is answered before any package is installed.
    from ops.stack.stack import Stack  # noqa: PLC0415
    from ops.stack.status_line import keep_drawing  # noqa: PLC0415

    console = Console(as_json=options.as_json)
    stack = Stack(options, console.say)
    on_stop_signal(stack.ask_to_stop)
    page = f"http://localhost:{options.port}/"
    if console.draws:
        console.say(f"live page   {page}")
    with told_end(console), stack:
        _tell_ready(console, stack, page)
        if console.draws:
            keep_drawing(console, options.port, lambda: stack.replica_states)
        stack.watch()
        console.end()
        console.tell("stopping", "stopping")
    return ExitStatus.KEPT


def _tell_ready(console: Console, stack: "Stack", page: str) -> None:
    options = stack.options
    processors = {each.name: each.url for each in stack.processors}
    urls = {"url": page.rstrip("/"), "page": page, "replicas": stack.replica_urls, "processors": processors}
    embedded = stack.postgres and stack.postgres.url
    lines = [f"ready http://localhost:{options.port}"]
    if embedded is not None:
        lines.append(f"DATABASE_URL='{embedded}'")
    console.tell("ready", "\n".join(lines), pid=os.getpid(), **urls, database_url=embedded)


if __name__ == "__main__":
    sys.exit(main())
