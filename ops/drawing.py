"""Draws on terminals, with rich: one line of progress over and over, and the table of a result."""

import os
import threading
from collections.abc import Iterable
from typing import TextIO

from rich.console import Console as RichConsole
from rich.console import RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

BAR_COLUMNS = 24
KEPT_STYLE, BROKEN_STYLE = "bold green", "bold red"


class Terminal:
    """A terminal that can be written to like a text file; once it has gone away, nothing is written any more."""

    encoding = "utf-8"

    def __init__(self, stream: TextIO) -> None:
        self._number = stream.fileno()
        self._is_gone = False

    def write(self, text: str) -> int:
        """Write text without a buffer, in as many pieces as the terminal takes."""
        rest = text.encode(errors="replace")
        while rest and not self._is_gone:
            try:
                rest = rest[os.write(self._number, rest) :]
            except BlockingIOError:
                continue
            except OSError:
                self._is_gone = True
        return len(text)

    def flush(self) -> None:
        """Do nothing: nothing is kept back."""

    def isatty(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the descriptor of the terminal."""
        return self._number


class LiveLine:
    """Draws one line again and again, below all others; any thread may call it."""

    def __init__(self, stream: TextIO) -> None:
        self._console = _console(stream)
        # The line is drawn only when it changes, so that a command that waits uses no CPU.
        self._live = Live(
            console=self._console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
        )
        self._lock = threading.Lock()
        self._has_ended = False

    def draw(self, text: str, share: float | None = None) -> None:
        """Replace the line, cut to the width of the terminal. The bar before it shows the share that is done."""
        line: RenderableType = Text(_printable(text), no_wrap=True, overflow="ellipsis")
        if share is not None:
            grid = Table.grid(padding=(0, 1, 0, 0))
            grid.add_row(ProgressBar(total=1.0, completed=min(1.0, share), width=BAR_COLUMNS), line)
            line = grid
        with self._lock:
            if not self._has_ended:
                self._live.start()
                self._live.update(line, refresh=True)

    def say(self, line: str) -> None:
        """Print another line above it."""
        with self._lock:
            self._console.print(Text("\n".join(map(_printable, line.split("\n")))), soft_wrap=True)

    def end(self) -> None:
        """Take the line away for good."""
        with self._lock:
            self._has_ended = True
            self._live.stop()


def show_result(stream: TextIO, rows: Iterable[tuple[str, object]], words: str, *, kept: bool) -> None:
    """Print a table of figures, and the verdict in its colour."""
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in rows:
        table.add_row(Text(name), Text(str(value)))
    console = _console(stream)
    console.print(table)
    console.print(Text(_printable(words), style=KEPT_STYLE if kept else BROKEN_STYLE), soft_wrap=True)


def _console(stream: TextIO) -> RichConsole:
    return RichConsole(file=Terminal(stream), force_terminal=True, highlight=False)  # type: ignore[arg-type]


def _printable(text: str) -> str:
    """Replace characters that would move the cursor."""
    return "".join(character if character.isprintable() else "?" for character in text)
