"""One line tells how the gateway is, what is worst first, and never that all is well while it is not."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain.replica_status import SILENT_S, HeardStatus
from actors.domain.story import FEW_PER_REPLICA, Story, tell
from tests.actors.watching import CALM, DOWN, NOW_MS, WORKING, heard

THREE = ("1", "2", "3")


def test_where_nothing_is_wrong_it_says_what_is_settled() -> None:
    assert tell(heard(*THREE), 93.4) == Story("good", "all is well: 3 replicas settle 93 payments a second")
    assert tell(heard("1"), 0.0) == Story("good", "all is well: 1 replica, and no payments now")
    assert tell(heard("1"), None).tone == "good"


def test_an_outage_that_is_waited_out_says_how_many_wait_and_for_how_long_still() -> None:
    processors = {"default": replace(DOWN, waited_for_s=6.8), "fallback": WORKING}
    told = tell(heard(*THREE, processors=processors, waiting={"held": 156}), 0.0)
    assert told == Story("warn", "default is down for 4.2 s: 468 wait for it, fallback in 6.8 s")


def test_an_outage_of_which_nobody_knows_the_beginning_has_no_duration() -> None:
    unknown = replace(DOWN, since_ms=None)
    told = tell(heard("1", processors={"default": replace(unknown, waited_for_s=0.5), "fallback": WORKING}), 0.0)
    assert told.text == "default is down: 0 wait for it, fallback in 0.5 s"
    told = tell(heard("1", processors={"default": unknown, "fallback": unknown}), 0.0)
    assert told.text == "no processor works: 0 wait for one"


def test_an_outage_that_is_not_waited_out_says_who_charges() -> None:
    processors = {"default": DOWN, "fallback": WORKING}
    told = tell(heard(*THREE, processors=processors), 90.0)
    assert told == Story("warn", "default is down for 4.2 s: fallback charges")
    forced = {"default": replace(DOWN, state="forced-open"), "fallback": WORKING}
    assert tell(heard(*THREE, processors=forced), 90.0).text == "default is held open by an operator: fallback charges"


def test_where_no_processor_works_it_is_bad() -> None:
    processors = {"default": DOWN, "fallback": DOWN}
    told = tell(heard(*THREE, processors=processors, waiting={"held": 1, "charging": 5}), 0.0)
    assert told == Story("bad", "no processor works for 4.2 s: 3 wait for one")


def test_a_processor_counts_as_down_where_half_of_the_replicas_find_it_so() -> None:
    one = heard("1", processors={"default": DOWN, "fallback": WORKING})
    assert tell([*one, *heard("2")], 1.0).text == "default is down for 4.2 s: fallback charges"
    assert tell([*one, *heard("2", "3")], 1.0).tone == "good"


def test_where_few_find_a_processor_down_and_payments_wait_there_it_says_where() -> None:
    one = heard("1", processors={"default": DOWN, "fallback": WORKING}, waiting={"held": 400})
    assert tell([*one, *heard("2", "3")], 1.0) == Story("warn", "default is down for 1: 400 wait there")


def test_payments_that_still_wait_after_the_switch_are_told() -> None:
    processors = {"default": DOWN, "fallback": WORKING}
    told = tell(heard("1", processors=processors, waiting={"held": 30}), 90.0)
    assert told.text == "default is down for 4.2 s: fallback charges, 30 still wait"


def test_where_both_are_down_the_shorter_outage_counts() -> None:
    longer = replace(DOWN, since_ms=NOW_MS - 100_000)
    told = tell(heard("1", processors={"default": longer, "fallback": DOWN}), 0.0)
    assert told.text == "no processor works for 4.2 s: 0 wait for one"


def test_a_silent_replica_is_told_and_what_it_said_does_not_count() -> None:
    gone = heard("3", silent_for_s=12.4, processors={"default": DOWN, "fallback": DOWN}, unresolved=5)
    assert tell([*heard("1", "2"), *gone], 50.0) == Story("warn", "replica 3 silent for 12 s")
    assert tell(gone, None) == Story("bad", "no replica has reported lately")


@pytest.mark.parametrize(
    ("changes", "tone", "text"),
    [
        (
            {"parts": {"postgres": "gone"}},
            "bad",
            "Postgres is away: payments are accepted, and charged when it is back",
        ),
        ({"parts": {"redis": "gone"}}, "warn", "Redis is away: each replica relies on what it sees itself"),
        ({"unresolved": 1}, "bad", "2 payments are in doubt: no processor says whether it charged them"),
        ({"disputes": 1}, "bad", "2 payments are charged more than once: see the table dispute"),
        ({"waiting": {"stranded": 1}}, "bad", "2 payments are stranded: an operator has to say what became of them"),
        ({"readiness": "unready"}, "bad", "replicas 1 and 2 not taking payments"),
        ({"waiting": {"journalled": FEW_PER_REPLICA + 1}}, "warn", "2002 payments are waiting to be charged"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, Any], tone: str, text: str) -> None:
    assert tell(heard("1", "2", **changes), 0.0) == Story(tone, text)


def test_of_several_troubles_the_worst_come_first_and_two_are_told() -> None:
    processors = {"default": DOWN, "fallback": WORKING}
    several = heard("1", processors=processors, parts={"postgres": "gone", "redis": "gone"}, unresolved=1)
    told = tell(several, 0.0)
    assert told.tone == "bad"
    assert told.text.count(";") == 1
    assert "Postgres" in told.text


def test_a_part_that_only_some_replicas_miss_says_which() -> None:
    told = tell([*heard("1", parts={"redis": "gone"}), *heard("2")], 0.0)
    assert told.text == "Redis is away: each replica relies on what it sees itself (for 1)"


@pytest.mark.parametrize(
    ("replicas", "tone", "text"),
    [
        (heard("1", readiness="unready"), "bad", "replica 1 not taking payments"),
        ([*heard("1", readiness="unready"), *heard("2")], "warn", "replica 1 not taking payments"),
        (
            [*heard("1", readiness="unready"), *heard("2", silent_for_s=9.0)],
            "bad",
            "replica 1 not taking payments; replica 2 silent for 9 s",
        ),
        (heard("1", parts={"redis": "ok", "journal": "nearly full"}), "warn", "replica 1: nearly full"),
        (heard("1", parts={"journal": "full", "segments": "torn"}), "warn", "replica 1: full"),
        ([*heard("1"), *heard("2", "3", silent_for_s=4.0)], "warn", "replicas 2 and 3 silent for 4 s"),
        (heard("1", waiting={"held": FEW_PER_REPLICA}), "good", "all is well: 1 replica settles 50 payments a second"),
        (heard("1", waiting={"held": FEW_PER_REPLICA + 1}), "warn", "1001 payments are waiting to be charged"),
        (heard("1", "2", waiting={"held": 900}), "good", "all is well: 2 replicas settle 50 payments a second"),
        (heard("1", waiting={"stranded": 1}), "bad", "1 payment is stranded: an operator has to say what became of it"),
        (heard("1", parts={"clock": "2 s ahead"}), "warn", "a clock is wrong"),
        (heard("1", parts={"journal": "ok"}), "good", "all is well: 1 replica settles 50 payments a second"),
        (heard("1", parts={"payments": "1 waits"}), "good", "all is well: 1 replica settles 50 payments a second"),
        (heard("1", unresolved=1), "bad", "1 payment is in doubt: no processor says whether it charged it"),
        (
            [*heard("1", parts={"journal": "full"}), *heard("3", silent_for_s=9.0)],
            "warn",
            "replica 3 silent for 9 s; replica 1: full",
        ),
    ],
)
def test_one_and_several_are_said_in_their_own_words(replicas: list[HeardStatus], tone: str, text: str) -> None:
    assert tell(replicas, 50.0) == Story(tone, text)


def test_all_that_waits_for_a_processor_is_counted_and_only_that() -> None:
    processors = {"default": replace(DOWN, waited_for_s=2.0), "fallback": WORKING}
    waiting = {"held": 1, "journalled": 2, "pausing": 4, "charging": 8, "settling": 16}
    told = tell(heard("1", processors=processors, waiting=waiting), 0.0)
    assert told.text == "default is down for 4.2 s: 7 wait for it, fallback in 2.0 s"
    told = tell(heard("1", processors=processors, waiting={"held": 1}), 0.0)
    assert told.text == "default is down for 4.2 s: 1 waits for it, fallback in 2.0 s"


def test_a_long_outage_is_told_to_the_tenth_of_a_second() -> None:
    processors = {"default": replace(DOWN, since_ms=NOW_MS - 999_900), "fallback": WORKING}
    assert tell(heard("1", processors=processors), 0.0).text == "default is down for 999.9 s: fallback charges"


def test_all_that_charge_are_named_where_one_of_three_is_down() -> None:
    processors = {"default": DOWN, "fallback": WORKING, "third": WORKING}
    assert tell(heard("1", processors=processors), 0.0).text == "default is down for 4.2 s: fallback and third charge"


@given(
    st.lists(
        st.builds(
            HeardStatus,
            st.builds(
                lambda state, waiting, parts: replace(
                    CALM, processors={"default": replace(WORKING, state=state)}, waiting={"held": waiting}, parts=parts
                ),
                st.sampled_from(["closed", "open", "half-open", "forced-open", "forced-closed"]),
                st.integers(0, 5000),
                st.sampled_from([{"postgres": "ok"}, {"postgres": "gone"}]),
            ),
            st.floats(0, 2 * SILENT_S),
        ),
        max_size=4,
    )
)
def test_it_is_never_good_while_payments_wait_for_what_is_down(replicas: list[HeardStatus]) -> None:
    living = [each.status for each in replicas if not each.is_silent]
    down = [each for each in living if each.processors["default"].is_down]
    told = tell(replicas, 0.0)
    assert told.text
    waits = any(each.waiting_count for each in down)
    if not living or waits or any(each.parts["postgres"] != "ok" for each in living):
        assert told.tone != "good"
