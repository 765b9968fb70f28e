"""What every command in the foreground needs: stopping at a signal, printing lines, and ending with an error line."""

import errno
import os
import signal
import sys
from collections.abc import Callable
from typing import TextIO

from ops import ExitStatus, OpsError

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GONE = {errno.EPIPE, errno.EIO}
"""The errors of writing when the reader, or the terminal, has gone away."""


class RunInterrupted(Exception):  # noqa: N818 - the person's wish, not an error
    """The work was abandoned because it was asked to stop."""


def on_stop_signal(ask_to_stop: Callable[[], None]) -> None:
    """Call `ask_to_stop` at each Ctrl-C, SIGTERM or hang-up that this process receives from now on."""
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: ask_to_stop())


def interrupt_on_end_signals() -> None:
    """Raise KeyboardInterrupt at SIGTERM and at a hang-up too, so that both end a command as Ctrl-C does."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)


def run_command(command: str, body: Callable[[], int]) -> int:
    """Return the exit status of `body`; an OpsError or an interruption ends it with one line on standard error."""
    try:
        return body()
    except OpsError as error:
        print_error(f"{command}: {error}")
        return ExitStatus.NOT_RUN
    except (KeyboardInterrupt, RunInterrupted):
        print_error(f"{command}: interrupted")
        return ExitStatus.INTERRUPTED


def print_line(line: str) -> None:
    """Print a line of the result on standard output, at once; do nothing where its reader has gone away.

    Raises:
        OpsError: it cannot be written for another reason.
    """
    _print(line, sys.stdout, "standard output")


def print_error(line: str) -> None:
    """Print a line on standard error, as `print_line` does on standard output."""
    _print(line, sys.stderr, "standard error")


def _print(line: str, stream: TextIO, name: str) -> None:
    try:
        print(line, file=stream, flush=True)
    except OSError as error:
        # What is still in the buffer must not fail once more when Python ends.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        # The reader may have gone away, as in `ops/up | head`. The command goes on.
        if error.errno not in GONE:
            raise OpsError(f"{name} cannot be written: {error.strerror}") from error
