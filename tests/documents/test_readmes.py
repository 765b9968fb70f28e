"""Both READMEs say the same: they show the same commands, lead to the same places, and tell the same figures."""

import re
from pathlib import Path

import pytest

from ops.environment import ROOT
from tests.documents.commands import FENCED, INDENTED, commands_of

ENGLISH, PORTUGUESE = ROOT / "README.md", ROOT / "README.pt-BR.md"
LINK = re.compile(r"\]\(([^)\s]+)\)|<(http[^>]+)>")
FIGURE = re.compile(r"\d[\d.,]*\d|\d")
FIELD_ROWS = re.compile(r"^\| Fiel.*$", re.MULTILINE)


def prose(path: Path) -> str:
    """Give the text of a document without its blocks of code."""
    return INDENTED.sub("", FENCED.sub("", path.read_text()))


def links(path: Path) -> list[str]:
    """List where a document leads, in its order, but to the other language."""
    found = [inline or bare for inline, bare in LINK.findall(prose(path))]
    return [target for target in found if target not in {ENGLISH.name, PORTUGUESE.name}]


def figures(text: str, thousands: str, point: str) -> list[str]:
    """List the figures of a text, written as in English without a sign between thousands."""
    words = LINK.sub("", text)
    whole = [re.sub(rf"\{thousands}(?=\d{{3}}(?!\d))", "", figure) for figure in FIGURE.findall(words)]
    return [figure.replace(point, ".") for figure in whole]


def test_each_leads_to_the_other() -> None:
    assert f"]({PORTUGUESE.name})" in ENGLISH.read_text()
    assert f"]({ENGLISH.name})" in PORTUGUESE.read_text()


def test_both_show_the_same_commands() -> None:
    assert [shown.text for shown in commands_of(PORTUGUESE)] == [shown.text for shown in commands_of(ENGLISH)]


def test_both_lead_to_the_same_places() -> None:
    assert links(PORTUGUESE) == links(ENGLISH)


def test_both_tell_the_same_figures() -> None:
    assert sorted(figures(prose(PORTUGUESE), ".", ",")) == sorted(figures(prose(ENGLISH), ",", "."))


def test_the_figures_of_the_event_are_those_that_were_measured() -> None:
    (row,) = FIELD_ROWS.findall(ENGLISH.read_text())
    measured = (ROOT / "docs" / "performance.md").read_text().partition("## In the event's containers")[2]
    table = measured.partition("\n\n|")[2].partition("\n\n")[0]
    shown = FIGURE.findall(row)
    medians = [figure for figure in re.findall(r"\| ([\d,.]+)(?= [(|])", table) if figure in shown]
    assert sorted(medians) == sorted(shown)


@pytest.mark.parametrize(
    ("text", "thousands", "point", "expected"),
    [
        ("1.805.879 pontos, p99 de 6,8 ms.", ".", ",", ["1805879", "99", "6.8"]),
        ("1,805,879 points, a p99 of 6.8 ms.", ",", ".", ["1805879", "99", "6.8"]),
        ("Python 3.11", ".", ",", ["3.11"]),
    ],
)
def test_a_figure_is_the_same_in_both_languages(text: str, thousands: str, point: str, expected: list[str]) -> None:
    assert figures(text, thousands, point) == expected
