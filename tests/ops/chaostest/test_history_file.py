"""The judge finds in the written history of a run what the checker of the run finds in the history itself."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ops.chaostest.checker import check_history
from ops.chaostest.history import History
from ops.chaostest.history_file import records_of, write_history
from ops.chaostest.moment_probe import MomentAnswers
from ops.chaostest.summary_probe import ChargeTotals
from ops.judge import judge, read_records
from tests.ops.chaostest.test_checker import (
    NOW_MS,
    answer,
    answer_a_cent_too_much,
    answer_on_the_wrong_processor,
    answer_one_too_few,
    charge_another_amount,
    charge_in_another_currency,
    charge_on_both,
    charge_twice_on_one,
    charge_what_nobody_offered,
    charge_what_was_refused,
    good,
    lose_everywhere,
)
from tests.ops.chaostest.test_endings import (
    charge_what_is_in_doubt_elsewhere_too,
    decline_at_one_only,
    decline_nowhere,
    hold_no_other_amount,
    not_tell_of_the_doubt,
    unsettled,
)

__all__ = ["good", "unsettled"]  # fixtures

Plant = Callable[[History], History]


def by_checker(history: History) -> dict[str, int]:
    found = check_history(history)
    return {
        "lost": len(found.lost),
        "twice": len(found.duplicated),
        "mismatched": len(found.mismatched),
        "phantom": len(found.phantom),
        "unknown": len(found.unknown),
        "misstated": len(found.misstated),
        "untrue": len(found.untrue_summaries),
        "in_doubt": len(found.in_doubt),
        "accepted": found.accepted,
        "refused": found.refused,
        "unanswered": found.unanswered,
    }


def by_judge(history: History) -> dict[str, int]:
    found = judge(records_of(history))
    return {
        "lost": found["lost"],
        "twice": found["twice_on_one"] + found["twice_over_processors"],
        "untrue": found["untrue_final"],
        **{
            kind: found[kind]
            for kind in (
                "mismatched",
                "phantom",
                "unknown",
                "misstated",
                "in_doubt",
                "accepted",
                "refused",
                "unanswered",
            )
        },
    }


def leave_as_it_is(history: History) -> History:
    return history


@pytest.mark.parametrize(
    "plant",
    [
        leave_as_it_is,
        lose_everywhere,
        charge_on_both,
        charge_twice_on_one,
        charge_another_amount,
        charge_in_another_currency,
        charge_what_nobody_offered,
        charge_what_was_refused(503),
        charge_what_was_refused(503, None),
        answer_one_too_few,
        answer_a_cent_too_much,
        answer_on_the_wrong_processor,
    ],
)
def test_checker_and_judge_agree_on_charges_and_summaries(good: History, plant: Plant) -> None:
    assert by_judge(plant(good)) == by_checker(plant(good))


@pytest.mark.parametrize("tells_moment", [True, False])
def test_both_compare_a_summary_with_the_processors_where_it_tells_its_moment(
    good: History, *, tells_moment: bool
) -> None:
    charges = [replace(each, booked_at_ms=NOW_MS) for each in good.final_state.charges]
    sent_ms, to_ms = NOW_MS + 9_000, NOW_MS + 7_000
    told = answer((5, 1900), (1, 600), asked_at_ms=sent_ms, to_ms=to_ms, final=False, tells_moment=tells_moment)
    processors = {"default": ChargeTotals(6, 2300), "fallback": ChargeTotals(1, 600)}
    moment = MomentAnswers(0, to_ms, sent_ms, sent_ms + 5, replace(told, from_ms=0), processors)
    history = replace(good, final_state=replace(good.final_state, charges=charges), moments=[moment])
    found, judged = check_history(history), judge(records_of(history))
    assert (found.moments_checked, len(found.untrue_moments)) == (tells_moment, tells_moment)
    assert (judged["compared_at_the_moment"], judged["wrong_at_the_moment"]) == (tells_moment, tells_moment)


@pytest.mark.parametrize(
    "plant",
    [
        leave_as_it_is,
        decline_at_one_only,
        decline_nowhere,
        hold_no_other_amount,
        not_tell_of_the_doubt,
        charge_what_is_in_doubt_elsewhere_too,
    ],
)
def test_checker_and_judge_agree_on_payments_that_were_not_settled(unsettled: History, plant: Plant) -> None:
    assert by_judge(plant(unsettled)) == by_checker(plant(unsettled))


def test_the_file_holds_one_record_a_line(good: History, tmp_path: Path) -> None:
    write_history(tmp_path / "history.jsonl", good)
    with (tmp_path / "history.jsonl").open() as lines:
        assert list(read_records(lines)) == list(records_of(good))
