"""What happened is found by comparing two states, and said once."""

from dataclasses import replace
from itertools import pairwise

import pytest

from actors.domain.happenings import Happening, happenings
from actors.domain.replica_status import SeenProcessor
from tests.actors.watching import CALM, DOWN, NOW_MS, WORKING, changed


def told(before: object, after: object) -> list[tuple[str, str, str]]:
    return [(each.kind, each.tone, each.text) for each in happenings(before, after)]  # type: ignore[arg-type]  # short


def test_the_first_state_is_a_start_and_an_equal_one_nothing() -> None:
    (start,) = happenings(None, CALM)
    assert start == Happening(NOW_MS, "1", "replica", "good", "replica 1 started")
    assert told(CALM, CALM) == []


def test_a_start_after_an_earlier_process_tells_for_how_long_nothing_was_told() -> None:
    again = changed(started_at_ms=NOW_MS + 2000, at_ms=NOW_MS + 2500, disputes=1)
    assert told(CALM, again) == [("replica", "warn", "replica 1 started again, 2.5 s after its last report")]
    much_later = changed(started_at_ms=NOW_MS, at_ms=NOW_MS + 600_000)
    assert told(CALM, much_later)[0][2] == "replica 1 started again, 600.0 s after its last report"


def test_parts_of_a_replica_that_only_begins_are_not_told() -> None:
    beginning = changed(readiness="unready", parts={"postgres": "not started yet"})
    assert told(beginning, CALM) == [("replica", "good", "replica 1 takes payments")]
    assert told(beginning, beginning) == []


def test_an_outage_is_told_at_its_beginning_and_its_end_alone() -> None:
    states = [WORKING, DOWN, replace(DOWN, state="half-open"), DOWN, replace(DOWN, state="half-open"), WORKING]
    replicas = [changed(processors={"default": each}, at_ms=NOW_MS + 1000 * at) for at, each in enumerate(states)]
    lines = [line for before, after in pairwise(replicas) for line in told(before, after)]
    assert lines == [
        ("breaker", "bad", "the breaker of default opened: failure rate"),
        ("breaker", "good", "the breaker of default closed after 9.2 s"),
    ]


def test_an_outage_is_told_without_what_is_not_known_of_it_and_exactly_however_long_it_was() -> None:
    def ends(down: SeenProcessor) -> list[str]:
        before, after = changed(processors={"default": down}), changed(processors={"default": WORKING})
        return [text for pair in ((CALM, before), (before, after)) for _, _, text in told(*pair)]

    opened, closed = "the breaker of default opened", "the breaker of default closed"
    assert ends(replace(DOWN, cause=None, since_ms=None)) == [opened, closed]
    long = replace(DOWN, since_ms=NOW_MS - 600_000)
    assert ends(long) == [f"{opened}: failure rate", f"{closed} after 600.0 s"]


def test_an_operators_order_is_told_as_such() -> None:
    held = changed(processors={"default": replace(WORKING, state="forced-open")})
    assert told(CALM, held) == [("order", "warn", "an operator forces the breaker of default open")]
    assert told(held, CALM) == [("order", "good", "the breaker of default decides by itself again")]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"generation": 2}, ("purge", "warn", "purged: replica 1 holds nothing older than purge 2")),
        (
            {"adopted": 3},
            ("adoption", "warn", "replica 1 took over 3 payments from another replica, or from its own earlier run"),
        ),
        ({"disputes": 1}, ("dispute", "bad", "1 payment found charged more than once")),
        ({"unresolved": 2}, ("payment", "bad", "2 payments of unknown outcome for over a minute")),
        ({"closed": {"declined": 1}}, ("payment", "warn", "1 payment ended declined")),
        ({"parts": {"redis": "no answer"}}, ("store", "bad", "Redis of replica 1: no answer")),
        ({"parts": {"clock": "2 s ahead"}}, ("clock", "bad", "the clock of replica 1: 2 s ahead")),
        ({"parts": {"records": "lost"}}, ("store", "bad", "the records in Postgres of replica 1: lost")),
        ({"parts": {"journal": "full"}}, ("store", "bad", "the journal of replica 1: full")),
        ({"parts": {"segments": "torn"}}, ("store", "bad", "the journal's files of replica 1: torn")),
    ],
)
def test_counts_and_parts_are_told_when_they_change(changes: dict[str, object], line: tuple[str, str, str]) -> None:
    assert told(CALM, changed(**changes)) == [line]


def test_what_is_well_again_is_told() -> None:
    assert told(changed(parts={"postgres": "gone"}), CALM) == [
        ("store", "good", "Postgres of replica 1: all is well again")
    ]


def test_a_replica_that_stops_taking_payments_says_why_and_when_it_takes_them_again() -> None:
    unready = changed(readiness="unready", parts={"gateway": "draining"})
    assert told(CALM, unready)[0] == ("replica", "bad", "replica 1 takes no payments: draining")
    assert told(unready, CALM)[0] == ("replica", "good", "replica 1 takes payments")


def test_of_counts_that_were_above_zero_before_only_the_rise_is_told() -> None:
    before = changed(adopted=5, disputes=2, closed={"declined": 4, "mismatched": 1})
    after = changed(adopted=6, disputes=3, closed={"declined": 6, "mismatched": 1})
    assert told(before, after) == [
        ("adoption", "warn", "replica 1 took over 1 payment from another replica, or from its own earlier run"),
        ("dispute", "bad", "1 payment found charged more than once"),
        ("payment", "warn", "2 payments ended declined"),
    ]
    assert told(after, changed(adopted=0, disputes=0)) == []
    assert told(changed(closed={}), changed(closed={"declined": 1})) == [
        ("payment", "warn", "1 payment ended declined")
    ]
    assert told(changed(unresolved=2), changed(unresolved=1)) == []


def test_only_parts_that_are_not_well_are_told_as_the_reason_and_none_where_all_are() -> None:
    unready = changed(readiness="unready", parts={"redis": "ok", "gateway": "draining", "disk": "full"})
    assert told(CALM, unready)[0][2] == "replica 1 takes no payments: draining; full"
    assert told(CALM, changed(readiness="unready"))[0][2] == "replica 1 takes no payments: the reason is not known"
