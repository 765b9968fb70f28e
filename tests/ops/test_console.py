"""Progress goes to standard error, the result to standard output, and both are plain where there is no terminal."""

import io
import json
import subprocess
import sys

import pytest

from ops import ExitStatus
from ops.console import Console, RunVerdict, is_terminal
from ops.environment import ROOT

KEPT = RunVerdict("Kept: all of it.", kept=True)
BROKEN = RunVerdict("Broken: 1 lost.", kept=False)
ROWS = [("accepted", 12), ("lost", 1)]
DOCUMENT = {"accepted": 12, "lost": 1}


def test_progress_is_lines_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    console.say("live page: here")
    console.draw("1 of 60 s", 0.1)
    console.end()
    assert not console.draws
    assert capsys.readouterr() == ("", "live page: here\n")


def test_a_result_in_words_is_a_table_and_the_verdict_last(capsys: pytest.CaptureFixture[str]) -> None:
    assert Console().conclude(BROKEN, ROWS, DOCUMENT) is ExitStatus.BROKEN
    out, err = capsys.readouterr()
    assert out.splitlines() == ["accepted             12", "lost                 1", "Broken: 1 lost."]
    assert err == ""


def test_a_result_as_json_is_one_line_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert Console(as_json=True).conclude(KEPT, ROWS, DOCUMENT) is ExitStatus.KEPT
    out, err = capsys.readouterr()
    assert json.loads(out) == {**DOCUMENT, "verdict": KEPT.words}
    assert (out.count("\n"), err) == (1, "")


def test_a_result_for_pipes_is_json_there_and_the_person_is_told_the_verdict(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Console().conclude(KEPT, ROWS, DOCUMENT, json_in_pipes=True)
    out, err = capsys.readouterr()
    assert json.loads(out)["verdict"] == KEPT.words
    assert err == f"{KEPT.words}\n"


def test_an_event_is_a_line_of_words_or_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    Console().tell("ready", "ready http://localhost:1", url="http://localhost:1")
    Console(as_json=True).tell("ready", "ready http://localhost:1", url="http://localhost:1")
    words, line = capsys.readouterr().out.splitlines()
    assert words == "ready http://localhost:1"
    assert json.loads(line) == {"event": "ready", "url": "http://localhost:1"}


def test_a_terminal_is_written_to_plainly_where_what_draws_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    class FakeTerminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    assert is_terminal(FakeTerminal())
    monkeypatch.setattr("ops.console.find_spec", lambda _: None)
    assert not is_terminal(FakeTerminal())


def test_what_draws_is_imported_on_terminals_alone() -> None:
    script = (
        "import sys; from ops.console import Console, RunVerdict\n"
        "Console().conclude(RunVerdict('Kept: all.', kept=True), [('a', 1)], {})\n"
        "sys.exit('rich' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, cwd=ROOT)  # noqa: S603 - ours
    assert done.returncode == 0
    assert b"\x1b" not in done.stdout + done.stderr
