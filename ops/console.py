"""How every command speaks: progress to standard error, its result to standard output, a verdict in words at the end.

On a terminal there is a line of progress that is drawn over itself, and a table; elsewhere there are plain lines. What
draws is imported on terminals alone; the image does not have it.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, TextIO

from ops import ExitStatus
from ops.foreground import print_error, print_line

if TYPE_CHECKING:
    from ops.drawing import LiveLine

Rows = Sequence[tuple[str, object]]
"""Figures by their names, in the order in which people read them."""
NAME_COLUMNS = 20


def rows_of(document: Mapping[str, object]) -> Rows:
    """Lay out the figures of a document, without those that say nothing."""
    return [
        (name, json.dumps(value) if isinstance(value, dict | list) else value)
        for name, value in document.items()
        if value not in (None, {}, [])
    ]


@dataclass(frozen=True, slots=True)
class RunVerdict:
    """What came of a command, in words."""

    words: str
    """One sentence; its first word tells whether it is good news."""
    kept: bool = field(kw_only=True)

    @property
    def status(self) -> ExitStatus:
        """The exit status that says the same."""
        return ExitStatus.KEPT if self.kept else ExitStatus.BROKEN


class Console:
    """Speaks for one run of a command. Any thread may call it; `end` is called before the process ends."""

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
        """Replace the last line of the terminal, with a bar where the share is told that is done."""
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

        It is a table and the verdict, or `document` with the verdict as one line of JSON: where that was asked for, and
        with `json_in_pipes` wherever standard output is no terminal. The verdict then is said on standard error, unless
        JSON was asked for.
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
    """Tell whether a stream is a terminal that moves its cursor as it is told, and what draws on it is installed."""
    return stream.isatty() and os.getenv("TERM") not in {"dumb", "unknown"} and find_spec("rich") is not None
