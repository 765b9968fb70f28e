"""Prints what commands tell: progress to standard error, the result to standard output, at the end a verdict in words.

On a terminal there is a line of progress that is drawn over itself, and a table; elsewhere there are plain lines. The
library that draws is imported on terminals alone; the image does not have it.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, TextIO

from ops import ExitStatus, OpsError
from ops.foreground import RunInterrupted, print_error, print_line

if TYPE_CHECKING:
    from ops.drawing import LiveLine

Rows = Sequence[tuple[str, object]]
"""Figures by their names, in the order in which people read them."""
NAME_COLUMNS = 20


def rows_of(document: Mapping[str, object]) -> Rows:
    """Lay out the figures of a document, without empty ones."""
    return [
        (name, json.dumps(value) if isinstance(value, dict | list) else value)
        for name, value in document.items()
        if value not in (None, {}, [])
    ]


@dataclass(frozen=True, slots=True)
class RunVerdict:
    """The result of a command in words."""

    words: str
    """One sentence; its first word tells whether it is good news."""
    kept: bool = field(kw_only=True)

    @property
    def status(self) -> ExitStatus:
        """The exit status that goes with the words."""
        return ExitStatus.KEPT if self.kept else ExitStatus.BROKEN


class Console:
    """Prints for one run of a command. Any thread may call it; `end` is called before the process ends."""

    def __init__(self, *, as_json: bool = False) -> None:
        """With `as_json`, the result is one line of JSON, and nothing else is on standard output."""
        self.as_json = as_json
        self._live: LiveLine | None = None
        if is_terminal(sys.stderr):
            from ops import drawing  # noqa: PLC0415  # see the module's docstring

            self._live = drawing.LiveLine(sys.stderr)

    @property
    def draws(self) -> bool:
        """Whether `draw` shows anything."""
        return self._live is not None

    def say(self, line: str) -> None:
        """Print a line of progress, above the one that is drawn."""
        if self._live is None:
            print_error(line)
        else:
            self._live.say(line)

    def draw(self, text: str, share: float | None = None) -> None:
        """Replace the last line of the terminal, with a bar if the share that is done is given."""
        if self._live is not None:
            self._live.draw(text, share)

    def end(self) -> None:
        """Take the drawn line away for good; may be called again."""
        if self._live is not None:
            self._live.end()

    def tell(self, event: str, line: str, **fields: object) -> None:
        """Tell an event: a line of JSON with its name and fields, or a line of words."""
        print_line(json.dumps({"event": event, **fields}) if self.as_json else line)

    def conclude(
        self, verdict: RunVerdict, rows: Rows, document: Mapping[str, object], *, json_in_pipes: bool = False
    ) -> ExitStatus:
        """Show the result, and return the exit status.

        It is a table and the verdict, or one line of JSON with `document` and the verdict: if that was asked for, and
        with `json_in_pipes` whenever standard output is no terminal. In the latter case the verdict is also printed
        on standard error.
        """
        self.end()
        in_colour = is_terminal(sys.stdout)
        if self.as_json or (json_in_pipes and not in_colour):
            print_line(json.dumps({**document, "verdict": verdict.words}))
            if not self.as_json:
                print_error(verdict.words)
        elif in_colour:
            from ops import drawing  # noqa: PLC0415  # see the module's docstring

            drawing.show_result(sys.stdout, rows, verdict.words, kept=verdict.kept)
        else:
            for name, value in rows:
                print_line(f"{name:{NAME_COLUMNS}} {value}")
            print_line(verdict.words)
        return verdict.status


def is_terminal(stream: TextIO) -> bool:
    """Tell whether a stream is a terminal with a movable cursor, and the library that draws on it is installed."""
    return stream.isatty() and os.getenv("TERM") not in {"dumb", "unknown"} and find_spec("rich") is not None


@contextmanager
def told_end(console: Console) -> Iterator[None]:
    """Erase the line of progress after the block, and tell scripts that read JSON how the command has ended."""
    status, error = ExitStatus.KEPT, None
    try:
        yield
    except RunInterrupted:
        status, error = ExitStatus.INTERRUPTED, "stopped before it was ready"
        raise
    except OpsError as failure:
        status, error = ExitStatus.NOT_RUN, str(failure)
        raise
    finally:
        console.end()
        if console.as_json:
            console.tell("ended", "", status=status, error=error)
