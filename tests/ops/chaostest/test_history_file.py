"""The judge finds in the written history of a run what the checker of the run finds in the history itself."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ops.chaostest.checker import check_history
from ops.chaostest.history import History
from ops.chaostest.history_file import records_of, write_history
from ops.judge import judge, read_records
from tests.ops.chaostest.test_checker import (
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
