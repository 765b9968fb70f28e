"""The last line of a terminal, which is drawn over itself, with what the gateway tells of itself."""

import http.client
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from ops.stack.process import ProcessState

DRAW_STEP_S = 1.0
ANSWER_S_MAX = 2.0
COLUMNS_DEFAULT = 80
ECHO = "^C"
"""What a terminal writes behind the line when somebody interrupts the command."""
HISTORY_S = 5
"""How many seconds of the past the rate is taken from."""
RATE_S = 3
"""How many of these the rate is the mean of."""


class StatusLine:
    """Draws one line again and again, below all others."""

    def __init__(self, write: Callable[[str], object], columns: Callable[[], int]) -> None:
        """`write` puts text on the terminal at once, `columns` tells how wide it is."""
        self._write = write
        self._columns = columns
        self._lock = threading.Lock()
        self._text = ""
        self._drawn = 0
        """How many columns the last drawing has filled."""
        self._ended = False

    def draw(self, text: str) -> None:
        """Replace the line; what does not fit is cut off, since a terminal would break it into two."""
        with self._lock:
            if not self._ended:
                self._text = "".join(character if character.isprintable() else "?" for character in text)
                self._draw()

    def say(self, line: str) -> None:
        """Print another line above it."""
        with self._lock:
            self._erase()
            self._write(f"{line}\n")
            if self._text:
                self._draw()

    def end(self) -> None:
        """Take the line away for good."""
        with self._lock:
            self._erase()
            self._text, self._ended = "", True

    def _erase(self) -> None:
        if self._drawn:
            self._write("\r" + " " * min(self._drawn + len(ECHO), self._columns() - 1) + "\r")
            self._drawn = 0

    def _draw(self) -> None:
        shown = self._text[: self._columns() - 1]
        self._write("\r" + shown.ljust(self._drawn))
        self._drawn = len(shown)


def on_terminal() -> StatusLine:
    """Make the status line of standard output, which is a terminal."""
    terminal = sys.stdout.fileno()

    def write(text: str) -> None:
        with suppress(OSError):  # The terminal may have gone away.
            os.write(terminal, text.encode(errors="replace"))

    def columns() -> int:
        with suppress(OSError):
            return os.get_terminal_size(terminal).columns or COLUMNS_DEFAULT
        return COLUMNS_DEFAULT

    return StatusLine(write, columns)


def keep_drawing(line: StatusLine, port: int, states: Callable[[], Mapping[int, ProcessState]]) -> None:
    """Draw once a second, in a thread of its own, what the gateway on a port tells; until the process ends.

    A gateway that does not answer holds up this thread alone.
    """

    def draw() -> None:
        pace = threading.Event()
        while not pace.wait(DRAW_STEP_S):
            line.draw(describe(ask_status(port, int(time.time()) - HISTORY_S), states()))

    threading.Thread(target=draw, name="status-line", daemon=True).start()


def ask_status(port: int, after_s: int) -> Mapping[str, Any] | None:
    """Ask whichever replica answers for `GET /status` with the history after an instant; None where none tells."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S_MAX)
    try:
        connection.request("GET", f"/status?after={after_s}")
        response = connection.getresponse()
        body = response.read()
        told = json.loads(body) if response.status == HTTPStatus.OK else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return told if isinstance(told, dict) else None


def describe(status: Mapping[str, Any] | None, states: Mapping[int, ProcessState]) -> str:
    """Write what the gateway tells, and how many replicas run, in one line."""
    running = sum(state is ProcessState.RUNNING for state in states.values())
    replicas = f"{running} of {len(states)} replicas"
    if status is None:
        return f"{replicas} | none tells its status"
    # Not every replica may have told of the last second yet.
    known = [count for count in status["history"]["accepted"] if count is not None][-1 - RATE_S : -1]
    rate = f"{sum(known) / len(known):.0f}/s" if known else "?/s"
    waiting = sum(status["waiting"].values())
    breakers = ", ".join(f"{name} {told['breaker']['state'] or '?'}" for name, told in status["processors"].items())
    return f"{status['story']['text']} | {rate}, {waiting} waiting | {replicas} | {breakers}"
