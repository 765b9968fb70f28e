"""A payment may end unsettled only where the processors' own records say why, and every replica has to tell it so."""

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import pytest

from ops.chaostest.checker import CheckResult, check_history
from ops.chaostest.endings import UNASKED_MAX
from ops.chaostest.history import BookedCharge, ClaimRow, ClosedRow, DisputeRow, FinalState, History, PaymentRow
from ops.chaostest.summary_probe import SummaryAnswer
from ops.chaostest.workload import Attempt, OfferedAmount, OfferedPayment

AMOUNT = OfferedAmount(100)
NOW_MS = 1_752_580_000_000
DECLINED, MISMATCHED, IN_DOUBT = UUID(int=1), UUID(int=2), UUID(int=3)


def accepted(correlation_id: UUID) -> OfferedPayment:
    return OfferedPayment(correlation_id, AMOUNT, attempts=[Attempt(NOW_MS, "", AMOUNT, 202)])


def charge(correlation_id: UUID, processor: str = "default", amount_minor: int = 100) -> BookedCharge:
    return BookedCharge(processor, correlation_id, amount_minor, NOW_MS * 1000)


@pytest.fixture
def unsettled() -> History:
    """Payments: declined by both processors, known before with another amount, in doubt at a processor that is gone."""
    ids = (DECLINED, MISMATCHED, IN_DOUBT)
    requests: dict[str, dict[UUID, str | None]] = {
        "default": {DECLINED: "decline", MISMATCHED: "otherAmount", IN_DOUBT: None},
        "fallback": {DECLINED: "decline"},
    }
    state = FinalState(
        foreign=[charge(MISMATCHED, amount_minor=101)],
        requests=requests,
        payments=[PaymentRow(each, 100, NOW_MS) for each in ids],
        claims=[ClaimRow(IN_DOUBT, "default", "1", 1)],
        closed=[
            ClosedRow(DECLINED, "declined", "fallback", NOW_MS),
            ClosedRow(MISMATCHED, "mismatched", "default", NOW_MS),
        ],
        told={DECLINED: {"declined"}, MISMATCHED: {"mismatched"}, IN_DOUBT: {"unknown", "accepted"}},
    )
    return History([accepted(each) for each in ids], state, lost_processors=("default",))


def with_state(history: History, **changes: object) -> History:
    return replace(history, final_state=replace(history.final_state, **changes))  # type: ignore[arg-type]  # any of its fields


def found(result: CheckResult) -> dict[str, set[int]]:
    kinds = ("unknown", "lost", "duplicated", "mismatched", "phantom", "misstated")
    sets = {kind: {each.int for each in getattr(result, kind)} for kind in kinds}
    return {kind: numbers for kind, numbers in sets.items() if numbers}


def test_payments_that_ended_for_a_reason_break_no_promise(unsettled: History) -> None:
    result = check_history(unsettled)
    assert found(result) == {}
    assert result.ok
    assert result.closed == {"declined": 1, "mismatched": 1}
    assert (set(result.in_doubt), result.in_doubt_charged) == ({IN_DOUBT}, 0)


def test_a_charge_of_the_processor_that_is_gone_is_counted_apart(unsettled: History) -> None:
    result = check_history(with_state(unsettled, charges=[charge(IN_DOUBT)]))
    assert found(result) == {}
    assert (set(result.in_doubt), result.in_doubt_charged) == ({IN_DOUBT}, 1)


def decline_at_one_only(history: History) -> History:
    return with_state(history, requests={**history.final_state.requests, "fallback": {}})


def decline_nowhere(history: History) -> History:
    return with_state(history, requests={"default": {DECLINED: None, MISMATCHED: "falseDuplicate", IN_DOUBT: None}})


def charge_what_was_declined(history: History) -> History:
    return with_state(history, charges=[charge(DECLINED, "fallback")])


def hold_no_other_amount(history: History) -> History:
    requests = history.final_state.requests
    return with_state(history, foreign=[], requests={**requests, "default": {**requests["default"], MISMATCHED: None}})


def close_in_a_state_of_another_name(history: History) -> History:
    declined, mismatched = history.final_state.closed
    told = {**history.final_state.told, DECLINED: {"given up"}}
    return with_state(history, closed=[replace(declined, state="given up"), mismatched], told=told)


def tell_different_states(history: History) -> History:
    return with_state(history, told={**history.final_state.told, DECLINED: {"declined", "accepted"}})


def not_tell_of_the_doubt(history: History) -> History:
    return with_state(history, told={**history.final_state.told, IN_DOUBT: {"accepted"}})


def hold_back_at_a_processor_that_works(history: History) -> History:
    return with_state(history, claims=[ClaimRow(IN_DOUBT, "fallback", "1", 1)])


def hold_back_without_a_processor(history: History) -> History:
    return with_state(history, claims=[ClaimRow(IN_DOUBT, None, "1", 0)])


def charge_what_is_in_doubt_elsewhere_too(history: History) -> History:
    return with_state(history, charges=[charge(IN_DOUBT), charge(IN_DOUBT, "fallback")])


def dispute(history: History) -> History:
    return with_state(history, disputes=[DisputeRow(DECLINED, "default", NOW_MS)])


@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        (decline_at_one_only, {"lost": {1}}),
        (decline_nowhere, {"lost": {1}}),
        (charge_what_was_declined, {"lost": {1}}),
        (hold_no_other_amount, {"lost": {2}}),
        (close_in_a_state_of_another_name, {"lost": {1}}),
        (tell_different_states, {"misstated": {1}}),
        (not_tell_of_the_doubt, {"unknown": {3}}),
        (hold_back_at_a_processor_that_works, {"unknown": {3}}),
        (hold_back_without_a_processor, {"unknown": {3}}),
        (charge_what_is_in_doubt_elsewhere_too, {"duplicated": {3}, "unknown": {3}}),
        (dispute, {"duplicated": {1}}),
    ],
)
def test_each_end_without_a_reason_is_found(
    unsettled: History, plant: Callable[[History], History], expected: dict[str, set[int]]
) -> None:
    result = check_history(plant(unsettled))
    assert found(result) == expected
    assert not result.ok


@pytest.mark.parametrize(("unasked", "unknown"), [(UNASKED_MAX, 0), (UNASKED_MAX + 1, UNASKED_MAX + 1)])
def test_many_payments_that_the_processor_was_never_asked_for_are_held_back_for_nothing(
    unsettled: History, unasked: int, unknown: int
) -> None:
    ids = [UUID(int=100 + number) for number in range(unasked)]
    state = unsettled.final_state
    held = with_state(
        replace(unsettled, offers=[*unsettled.offers, *map(accepted, ids)]),
        claims=[*state.claims, *(ClaimRow(each, "default", "1", 0) for each in ids)],
        told={**state.told, **{each: {"unknown"} for each in ids}},
    )
    result = check_history(held)
    assert len(result.unknown) == unknown
    assert IN_DOUBT in result.in_doubt


def test_a_summary_at_rest_need_not_be_final_nor_count_what_is_in_doubt(unsettled: History) -> None:
    charged = with_state(unsettled, charges=[charge(IN_DOUBT)])
    at_rest = SummaryAnswer("", NOW_MS, None, None, 200, final=False, totals={})
    assert check_history(replace(charged, final_answers=[at_rest])).ok
    early = replace(charged, answers=[replace(at_rest, final=True)])
    assert len(check_history(early).untrue_summaries) == 1
