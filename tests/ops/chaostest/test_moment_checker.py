"""A summary is compared with what was booked at the moment of the question; what the questions overlapped may count."""

from collections.abc import Sequence
from uuid import UUID

import pytest

from ops.chaostest.history import BookedCharge
from ops.chaostest.moment_checker import OVERLAP_MS, untrue_moments
from ops.chaostest.moment_probe import MomentAnswers
from ops.chaostest.summary_probe import ChargeTotals, SummaryAnswer

SENT_MS, HEARD_MS = 1_752_580_000_000, 1_752_580_000_005
FROM_MS, TO_MS = SENT_MS - 16_500, SENT_MS - 1_500
LONG_AGO_MS = SENT_MS - 5_000


def charge(number: int, booked_at_ms: int, *, stamp_ms: int = TO_MS, answered: bool = True) -> BookedCharge:
    return BookedCharge("default", UUID(int=number), 100, stamp_ms * 1000, booked_at_ms=booked_at_ms, answered=answered)


def moment(gateway: int, processor: int) -> MomentAnswers:
    """Make the answers that tell of these numbers of charges."""
    totals = [{"default": ChargeTotals(count, 100 * count)} for count in (gateway, processor)]
    answer = SummaryAnswer("", SENT_MS, FROM_MS, TO_MS, 200, final=False, totals=totals[0])
    return MomentAnswers(FROM_MS, TO_MS, SENT_MS, HEARD_MS, answer, totals[1])


@pytest.mark.parametrize(
    ("charges", "true_counts"),
    [
        ([charge(1, LONG_AGO_MS), charge(2, LONG_AGO_MS)], {2}),
        ([charge(1, LONG_AGO_MS), charge(2, LONG_AGO_MS, stamp_ms=TO_MS + 1)], {1}),
        ([charge(1, LONG_AGO_MS), charge(2, LONG_AGO_MS, stamp_ms=FROM_MS - 1)], {1}),
        ([charge(1, LONG_AGO_MS), charge(2, HEARD_MS + OVERLAP_MS + 1)], {1}),
        ([charge(1, LONG_AGO_MS), charge(2, HEARD_MS + OVERLAP_MS)], {1, 2}),
        ([charge(1, LONG_AGO_MS), charge(2, SENT_MS - OVERLAP_MS + 1)], {1, 2}),
        ([charge(1, LONG_AGO_MS), charge(2, SENT_MS - OVERLAP_MS)], {2}),
        ([charge(1, LONG_AGO_MS), charge(2, LONG_AGO_MS, answered=False)], {1, 2}),
    ],
    ids=[
        "all of them",
        "stamped later",
        "stamped earlier",
        "booked after the question",
        "booked just after it",
        "booked just before it",
        "booked before it",
        "the answer was withheld",
    ],
)
def test_a_summary_tells_what_was_booked_when_it_was_asked(
    charges: Sequence[BookedCharge], true_counts: set[int]
) -> None:
    (true_count, *_) = true_counts
    for count in range(4):
        assert (untrue_moments([moment(count, true_count)], charges) == []) == (count in true_counts)
        assert (untrue_moments([moment(true_count, count)], charges) == []) == (count in true_counts)


def test_a_gateway_that_counts_what_is_booked_while_it_waits_is_found() -> None:
    charges = [charge(1, LONG_AGO_MS), charge(2, HEARD_MS + 300)]
    (found,) = untrue_moments([moment(2, 1)], charges)
    assert (found.least, found.most) == ({"default": ChargeTotals(1, 100)}, {"default": ChargeTotals(1, 100)})


def test_a_gateway_that_tells_of_a_processor_which_booked_nothing_is_found() -> None:
    assert len(untrue_moments([moment(1, 0)], [])) == 1
    assert untrue_moments([moment(0, 0)], []) == []
