"""What every command in the foreground needs: to be asked to stop by a signal, and to print lines."""

import contextlib
import signal
from collections.abc import Callable

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def on_stop_signal(ask_to_stop: Callable[[], None]) -> None:
    """Call `ask_to_stop` at each Ctrl-C, SIGTERM or hang-up that this process receives from now on."""
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: ask_to_stop())


def print_line(line: str) -> None:
    """Print a line for the person who ran the command, at once."""
    # The reader may have gone away, as in `ops/up | head`. The command goes on.
    with contextlib.suppress(BrokenPipeError):
        print(line, flush=True)  # noqa: T201 - what a command shows
