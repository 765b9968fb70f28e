"""The verdict on a chaos run is one sentence, and true of all that can break."""

from dataclasses import fields, replace
from typing import Any
from uuid import UUID

import pytest

from ops.chaostest.checker import CheckResult, UntrueSummary
from ops.chaostest.moment_checker import UntrueMoment
from ops.chaostest.moment_probe import MomentAnswers
from ops.chaostest.summary_probe import SummaryAnswer
from ops.chaostest.verdict import judge_run
from tests.ops.chaostest.broken_run import good_run

GOOD = good_run().check
SUMMARY = SummaryAnswer("http://127.0.0.1:1", 1, None, 2, 200, final=True, totals={})
BROKEN: dict[str, Any] = {
    **{
        name: frozenset({UUID(int=1), UUID(int=2)})
        for name in ("unknown", "lost", "duplicated", "mismatched", "phantom", "misstated")
    },
    "wrong_totals": ("default",),
    "wrong_sums": 2,
    "doubted_history": "7712861440530491765/00000001",
    "untrue_summaries": (UntrueSummary(SUMMARY, {}),),
    "untrue_moments": (UntrueMoment(MomentAnswers(1, 2, 1, 2, SUMMARY, {}), {}, {}),),
    "inconclusive": ("nothing was accepted",),
}


def judge(check: CheckResult) -> tuple[bool, str]:
    verdict = judge_run(check, 12, 1.5, ())
    return verdict.kept, verdict.words


@pytest.mark.parametrize("name", BROKEN)
def test_whatever_breaks_a_run_is_told(name: str) -> None:
    check = replace(GOOD, **{name: BROKEN[name]})
    kept, words = judge(check)
    assert not check.ok
    assert not kept
    assert words.startswith("Not proven: " if name == "inconclusive" else "Broken: ")


def test_every_part_of_the_check_that_can_break_is_among_these() -> None:
    harmless = {"offered", "accepted", "refused", "settled", "closed", "in_doubt", "in_doubt_charged", "summaries"}
    harmless |= {"moments_checked", "lost_conflicts"}
    assert {field.name for field in fields(CheckResult)} == BROKEN.keys() | harmless


def test_how_accepted_payments_ended_is_told() -> None:
    check = replace(GOOD, accepted=12_345, settled=12_340, closed={"declined": 4}, in_doubt=frozenset({UUID(int=1)}))
    assert judge(check)[1] == (
        "Kept: 12,345 payments accepted; 12,340 charged, each once, 4 declined, 1 in doubt at a processor that did not "
        "come back; 12 faults, all at rest 1.5 s after the last."
    )


def test_a_run_that_does_not_come_to_rest_or_is_unfair_is_broken() -> None:
    assert not judge_run(GOOD, 12, None, ()).kept
    assert "2 requests got no answer" in judge_run(GOOD, 12, 1.5, ["2 requests got no answer"]).words
