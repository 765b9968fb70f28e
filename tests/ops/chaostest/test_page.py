"""The page of a chaos run shows every suspicious payment with its story, and asks for nothing."""

from dataclasses import replace
from html.parser import HTMLParser

import pytest

from ops.chaostest.nemesis import InjectedFault
from ops.chaostest.page import in_words
from ops.chaostest.schedule import ScheduledFault
from tests.ops.chaostest.broken_run import GOOD, LOST, TWICE, broken_run, good_run, page_of

VOID = {"meta", "img", "br", "link", "input"}


class Elements(HTMLParser):
    """The elements of a page and its text, in order; every element has to be closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.text.append(" ".join(data.split()))


def labels(page: Elements) -> list[str]:
    begin, end = page.text.index("Faults, a lane for each target"), page.text.index("Payments a second")
    return [each for each in page.text[begin:end] if each in ("kill", "fail", "a_fault_with_a_long_name")]


@pytest.fixture(scope="module")
def broken() -> Elements:
    return Elements(page_of(broken_run()))


def test_the_verdict_stands_in_words(broken: Elements) -> None:
    words = "Broken: 1 lost; 1 charged more than once; 3 payments were accepted."
    assert words in broken.text
    assert ("class", "verdict broken") in broken.attributes


def test_each_suspicious_payment_is_there_and_no_other(broken: Elements) -> None:
    ids = [value for name, value in broken.attributes if name == "id"]
    assert ids == [str(LOST), str(TWICE)]
    assert str(GOOD) not in "".join(broken.text)


def test_the_story_of_a_payment_is_told_in_the_order_of_the_instants(broken: Elements) -> None:
    story = broken.text[broken.text.index(str(LOST)) : broken.text.index(str(TWICE))]
    steps = story[story.index("what") + 1 : story.index(f"All records of {LOST}")]
    rows = [tuple(steps[number : number + 2]) for number in range(0, len(steps), 3)]
    assert rows == [
        ("1.000", "client"),
        ("1.000", "Postgres"),
        ("1.005", "client"),
        ("1.005", "client"),
        ("1.005", "gateway"),
        ("1.010", "client"),
        ("2.100", "replica 2"),
        ("end", "gateway"),
        ("end", "gateway"),
    ]
    assert "charge ended: failed, default" in steps
    assert "waits: the outage has only just begun" in steps


def test_the_timeline_has_the_faults_as_they_were_injected(broken: Elements) -> None:
    assert "kill replica-1 from 1.1 s to 3.2 s" in broken.text
    assert any(line.endswith("from 4.1 s for ever: failureRate 0.4") for line in broken.text)
    pictures = [value for name, value in broken.attributes if name == "aria-label"]
    assert pictures == ["Faults, a lane for each target", "Payments a second", "Accepted and not charged yet"]


def test_a_bar_of_the_timeline_has_the_kind_of_its_fault_where_that_fits(broken: Elements) -> None:
    assert labels(broken) == ["fail", "kill"]
    run = good_run()
    short = InjectedFault(ScheduledFault(1.0, "a_fault_with_a_long_name", "replica-1", 0.1), 1.0, 1.1)
    soon_next = [
        InjectedFault(ScheduledFault(4.0, "fail", "default", 1.0), 4.0, 5.0),
        InjectedFault(ScheduledFault(4.01, "kill", "default", 1.0), 4.01, 5.0),
    ]
    assert labels(Elements(page_of(replace(run, injected=[short, *soon_next])))) == ["kill"]


def test_figures_stand_in_words(broken: Elements) -> None:
    figures = broken.text[broken.text.index("All figures") :]
    assert figures[figures.index("in_doubt") + 1] == "charged 0, not_charged 0"
    assert figures[figures.index("ok") + 1] == "no"
    assert not any(each.startswith(("{", "[")) for each in figures)
    nested = {"default": {"openings": 2, "spans_s": [1.5, None]}, "fallback": {}, "known": True}
    assert in_words(nested) == "default (openings 2, spans_s (1.5, none)), fallback none, known yes"


def test_nothing_is_asked_for_and_what_others_said_is_no_markup(broken: Elements) -> None:
    assert set(broken.names) & {"script", "link", "img", "iframe", "object", "base"} == set()
    assert {name for name, _ in broken.attributes} & {"src", "href", "xlink:href", "onerror"} == set()
    assert any("<img src=" in each for each in broken.text)


def test_the_command_that_repeats_the_run_is_there(broken: Elements) -> None:
    assert "ops/chaos --profile mix --seed 7 --seconds 6 --rate 150" in broken.text


def test_a_good_run_has_no_suspicious_payment() -> None:
    good = Elements(page_of(good_run()))
    assert "Kept: 1 payments accepted; 1 charged, each once; 2 faults, all at rest 1.5 s after the last." in good.text
    assert "2 faults by the second" in good.text
    assert "Nothing." in good.text
    assert "Suspicious payments" not in good.text
