"""On a terminal one line is drawn over itself, below all others, and nothing that is told moves the cursor."""

import os
import re
from collections.abc import Iterator
from typing import TextIO

import pytest

from ops.drawing import LiveLine, show_result

COLUMNS = 60
SEQUENCE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])")


class SmallScreen:
    """What a terminal shows of the bytes in a pipe, as far as lines, `\\r` and erasing need one."""

    def __init__(self, reads: int) -> None:
        self._reads = reads
        self._text = ""

    def lines(self) -> list[str]:
        """The lines that are seen now, without spaces at their ends."""
        while read := self._read():
            self._text += read.decode()
        shown, row, column = [""], 0, 0
        for part in re.split(r"(\x1b\[[0-9;?]*[A-Za-z]|[\r\n])", self._text):
            sequence = SEQUENCE.fullmatch(part)
            if part == "\n":
                row, column = row + 1, 0
                if row == len(shown):
                    shown.append("")
            elif part == "\r":
                column = 0
            elif sequence is None:
                shown[row] = shown[row][:column].ljust(column) + part + shown[row][column + len(part) :]
                column += len(part)
            elif sequence[2] == "A":
                row -= int(sequence[1])
            elif sequence[2] == "K":
                shown[row] = ""
            else:
                assert sequence[2] in "mhl", f"{part!r} does something else"
        return [line.rstrip() for line in shown]

    def _read(self) -> bytes:
        try:
            return os.read(self._reads, 65536)
        except BlockingIOError:
            return b""


@pytest.fixture
def ends() -> Iterator[tuple[int, TextIO]]:
    reads, writes = os.pipe()
    os.set_blocking(reads, False)
    with os.fdopen(writes, "w") as stream:
        yield reads, stream
    os.close(reads)


@pytest.fixture
def screen(ends: tuple[int, TextIO]) -> SmallScreen:
    return SmallScreen(ends[0])


@pytest.fixture
def line(ends: tuple[int, TextIO], monkeypatch: pytest.MonkeyPatch) -> LiveLine:
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    monkeypatch.setenv("TERM", "xterm")
    return LiveLine(ends[1])


def test_a_shorter_text_leaves_nothing_of_a_longer_one(screen: SmallScreen, line: LiveLine) -> None:
    line.draw("default is down")
    line.draw("all well")
    assert screen.lines() == ["all well"]


def test_a_text_that_does_not_fit_is_cut_off(screen: SmallScreen, line: LiveLine) -> None:
    line.draw("x" * (COLUMNS + 10))
    (shown,) = screen.lines()
    assert shown == "x" * (COLUMNS - 1) + "…"


def test_what_would_move_the_cursor_is_not_written(screen: SmallScreen, line: LiveLine) -> None:
    line.draw("a\r\n\x1b[2Jb")
    line.say("c\x1b[2Jd\ne")
    assert screen.lines() == ["c?[2Jd", "e", "a???[2Jb"]


def test_other_lines_are_printed_above_it_whole(screen: SmallScreen, line: LiveLine) -> None:
    line.say("first")
    line.draw("all well")
    line.say("y" * (COLUMNS + 10))
    assert screen.lines() == ["first", "y" * (COLUMNS + 10), "all well"]


def test_what_the_terminal_echoes_behind_it_goes_with_it(
    screen: SmallScreen, line: LiveLine, ends: tuple[int, TextIO]
) -> None:
    line.draw("all well")
    os.write(ends[1].fileno(), b"^C")
    line.say("stopping")
    line.end()
    assert screen.lines()[0] == "stopping"
    assert "^C" not in "".join(screen.lines())


def test_once_it_has_ended_it_is_drawn_no_more(screen: SmallScreen, line: LiveLine) -> None:
    line.draw("all well")
    line.end()
    line.draw("all well")
    line.say("stopping")
    assert [shown for shown in screen.lines() if shown] == ["stopping"]


def test_a_share_that_is_done_is_a_bar(screen: SmallScreen, line: LiveLine) -> None:
    line.draw("15 of 60 s", 0.25)
    (shown,) = screen.lines()
    bar, _, text = shown.partition(" ")
    assert (len(bar), text) == (24, "15 of 60 s")


def test_a_terminal_that_has_gone_away_stops_nothing() -> None:
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes, "w") as stream:
        line = LiveLine(stream)
        line.draw("all well")
        line.say("stopping")
        line.end()


def test_a_result_is_a_table_and_a_verdict_in_its_colour(
    screen: SmallScreen, ends: tuple[int, TextIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    show_result(ends[1], [("lost", 1), ("faults[bold]", "{}")], "Broken: 1 lost.", kept=False)
    assert screen.lines() == ["lost          1", "faults[bold]  {}", "Broken: 1 lost.", ""]


def test_without_colour_there_is_none(ends: tuple[int, TextIO], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    show_result(ends[1], [("lost", 0)], "Kept: all.", kept=True)
    assert "\x1b[3" not in os.read(ends[0], 65536).decode()
