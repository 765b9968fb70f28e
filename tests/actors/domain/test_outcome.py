"""Each status means what the outcome table of the design says, and any other means that nothing is known."""

from collections.abc import Sequence

import pytest

from actors.domain.outcome import Outcome, outcome_of_status


@pytest.mark.parametrize(
    ("statuses", "outcome"),
    [
        ([200], Outcome.SETTLED),
        ([422], Outcome.ALREADY_CHARGED),
        ([*range(400, 422), *range(423, 429), *range(430, 500)], Outcome.REFUSED),
        ([429], Outcome.OVERLOADED),
        ([500, 501, 503, *range(505, 600)], Outcome.FAILED),
        ([502, 504], Outcome.UNKNOWN),
        ([*range(100, 200), *range(201, 400)], Outcome.UNKNOWN),
        ([0, 99, *range(600, 1000)], Outcome.UNKNOWN),
    ],
)
def test_a_status_means_what_the_table_says(statuses: Sequence[int], outcome: Outcome) -> None:
    assert {status: outcome_of_status(status) for status in statuses} == dict.fromkeys(statuses, outcome)


def test_only_a_charge_that_is_booked_is_a_success() -> None:
    assert {outcome for outcome in Outcome if outcome.is_success} == {Outcome.SETTLED, Outcome.ALREADY_CHARGED}
