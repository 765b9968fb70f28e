"""Each answer means what the outcome table of the design says, and any other means that nothing is known."""

from collections.abc import Sequence

import pytest

from actors.domain.outcome import Outcome, outcome_of_answer

DECLINED, MISCONFIGURED = (400, 402, 409, 413, 415), (401, 403, 404, 405)


@pytest.mark.parametrize(
    ("statuses", "outcome"),
    [
        ([200], Outcome.SETTLED),
        ([422], Outcome.ALREADY_CHARGED),
        (DECLINED, Outcome.DECLINED),
        (MISCONFIGURED, Outcome.MISCONFIGURED),
        ([429], Outcome.OVERLOADED),
        (sorted({*range(400, 500)} - {*DECLINED, *MISCONFIGURED, 422, 429}), Outcome.UNKNOWN),
        ([*range(501, 600)], Outcome.UNKNOWN),
        ([*range(100, 200), *range(201, 400)], Outcome.UNKNOWN),
        ([0, 99, *range(600, 1000)], Outcome.UNKNOWN),
    ],
)
@pytest.mark.parametrize("body", [b"", b"{}", b"<html>"])
def test_a_status_means_what_the_table_says(statuses: Sequence[int], outcome: Outcome, body: bytes) -> None:
    found = {status: outcome_of_answer(status, body) for status in statuses}
    assert found == dict.fromkeys(statuses, outcome)


def test_only_a_failure_without_a_body_is_the_processors_own() -> None:
    assert outcome_of_answer(500, b"") is Outcome.FAILED
    assert outcome_of_answer(500, b"{}") is Outcome.UNKNOWN


def test_only_a_processor_that_charges_certainly_works() -> None:
    assert {outcome for outcome in Outcome if outcome.is_success} == {Outcome.SETTLED, Outcome.ALREADY_CHARGED}


def test_what_only_the_processor_itself_answers_is_its_own() -> None:
    own = {Outcome.SETTLED, Outcome.ALREADY_CHARGED, Outcome.FAILED}
    assert {outcome for outcome in Outcome if outcome.is_of_processor} == own


def test_what_declines_may_be_something_in_front_and_does_not_tell_whether_the_processor_works() -> None:
    silent = {outcome for outcome in Outcome if not outcome.tells_health}
    assert silent == {Outcome.NOT_SENT, Outcome.DECLINED}


def test_outcomes_have_the_names_that_metrics_and_histories_show() -> None:
    assert [outcome.value for outcome in Outcome] == [
        "settled",
        "already charged",
        "not sent",
        "refused",
        "overloaded",
        "failed",
        "declined",
        "misconfigured",
        "unknown",
    ]
