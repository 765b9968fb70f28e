"""The checker finds each planted discrepancy under its own name, and nothing in a good history."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

import pytest

from ops.chaostest.checker import CheckResult, check_history
from ops.chaostest.history import (
    BookedCharge,
    ClaimRow,
    FinalState,
    History,
    PaymentRow,
    ProcessorTotals,
    SettlementRow,
)
from ops.chaostest.rivals import RivalAnswer
from ops.chaostest.summary_probe import ChargeTotals, SummaryAnswer
from ops.chaostest.workload import Attempt, BodyFormat, OfferedAmount, OfferedPayment

NOW_MS = 1_752_580_000_000
FEES = {"default": Decimal("0.05"), "fallback": Decimal("0.15")}
KEYS = (
    "unknown",
    "lost",
    "duplicated",
    "mismatched",
    "phantom",
    "misstated",
    "wrong_totals",
    "untrue_summaries",
    "lost_conflicts",
)


def identifier(number: int) -> UUID:
    return UUID(int=number)


def make_offer(number: int, *statuses: int | None) -> OfferedPayment:
    amount = OfferedAmount(100 * number)
    attempts = [Attempt(NOW_MS, "", amount, status) for status in statuses]
    return OfferedPayment(identifier(number), amount, BodyFormat.JSON, attempts=attempts)


def make_charge(number: int, processor: str = "default") -> BookedCharge:
    return BookedCharge(processor, identifier(number), 100 * number, (NOW_MS + number) * 1000)


def settlement_of(charge: BookedCharge) -> SettlementRow:
    return SettlementRow(
        charge.correlation_id, charge.processor, charge.amount_minor, charge.requested_at_us // 1000, 1
    )


def payment_of(charge: BookedCharge) -> PaymentRow:
    return PaymentRow(charge.correlation_id, charge.amount_minor, NOW_MS)


def totals_of(charges: Sequence[BookedCharge]) -> tuple[ProcessorTotals, ...]:
    totals = []
    for name, fee in FEES.items():
        cents = [charge.amount_minor for charge in charges if charge.processor == name]
        amount = Decimal(sum(cents)) / 100
        totals.append(ProcessorTotals(name, fee, len(cents), amount, (amount * fee).quantize(Decimal("0.01"))))
    return tuple(totals)


def answer(default: tuple[int, int], fallback: tuple[int, int], **changes: object) -> SummaryAnswer:
    totals = {"default": ChargeTotals(*default), "fallback": ChargeTotals(*fallback)}
    whole = SummaryAnswer("", NOW_MS + 99, None, NOW_MS + 99, 200, final=True, totals=totals)
    return replace(whole, **changes)  # type: ignore[arg-type]  # any of its fields


@pytest.fixture
def good() -> History:
    """Payments 1 to 6, the last on the fallback; 7 was refused, 8 never answered, and yet charged."""
    charges = [*(make_charge(number) for number in range(1, 6)), make_charge(6, "fallback"), make_charge(8)]
    final_state = FinalState(
        charges=charges,
        totals=totals_of(charges),
        payments=[payment_of(charge) for charge in charges],
        settlements=[settlement_of(charge) for charge in charges],
    )
    offers = [make_offer(number, None, 503, 202) for number in range(1, 7)]
    offers += [make_offer(7, 503), make_offer(8, None)]
    return History(offers, final_state, [answer((6, 2300), (1, 600))], [answer((6, 2300), (1, 600), to_ms=None)])


def findings(result: CheckResult) -> dict[str, int]:
    return {key: len(getattr(result, key)) for key in KEYS if getattr(result, key)}


def with_final_state(history: History, **changes: object) -> History:
    return replace(history, final_state=replace(history.final_state, **changes))  # type: ignore[arg-type]  # any of its fields


def with_charges(history: History, charges: Sequence[BookedCharge]) -> History:
    """Change the charges and the processors' totals alike, so that only one discrepancy is planted."""
    return with_final_state(history, charges=charges, totals=totals_of(charges))


def without(rows: Sequence[object], number: int) -> list[object]:
    return [row for row in rows if row.correlation_id != identifier(number)]  # type: ignore[attr-defined]  # all have


def test_nothing_is_found_in_a_good_history(good: History) -> None:
    result = check_history(good)
    assert findings(result) == {}
    assert result.ok
    assert (result.offered, result.accepted, result.refused, result.unanswered) == (8, 6, 1, 1)
    assert result.settled == 7
    assert result.summaries == {"final": 1, "open": 0, "unavailable": 0, "wrong": 0}


def lose_everywhere(good: History) -> History:
    final_state = good.final_state
    return replace(
        with_final_state(
            with_charges(good, [charge for charge in final_state.charges if charge.correlation_id != identifier(3)]),
            payments=without(final_state.payments, 3),
            settlements=without(final_state.settlements, 3),
        ),
        answers=[],
        final_answers=[],
    )


def lose_the_settlement(good: History) -> History:
    return with_final_state(good, settlements=without(good.final_state.settlements, 3))


def leave_claimed(good: History) -> History:
    claim = ClaimRow(identifier(3), "default", "1", 1)
    return with_final_state(good, settlements=without(good.final_state.settlements, 3), claims=[claim])


def charge_on_both(good: History) -> History:
    return with_charges(good, [*good.final_state.charges, make_charge(3, "fallback")])


def charge_twice_on_one(good: History) -> History:
    return with_charges(good, [*good.final_state.charges, make_charge(3)])


def change_settlement(number: int, **changes: object) -> Callable[[History], History]:
    def change(good: History) -> History:
        settlements = [
            replace(row, **changes) if row.correlation_id == identifier(number) else row  # type: ignore[arg-type]
            for row in good.final_state.settlements
        ]
        return with_final_state(good, settlements=settlements)

    return change


def charge_another_amount(good: History) -> History:
    def other(row: object) -> object:
        return replace(row, amount_minor=1) if row.correlation_id == identifier(3) else row  # type: ignore[attr-defined, type-var]

    final_state = good.final_state
    return replace(
        with_final_state(
            with_charges(good, [other(row) for row in final_state.charges]),  # type: ignore[misc]  # rows stay what they are
            settlements=[other(row) for row in final_state.settlements],
            payments=[other(row) for row in final_state.payments],
        ),
        answers=[],
        final_answers=[],
    )


def send_microseconds(good: History) -> History:
    charges = [
        replace(charge, requested_at_us=charge.requested_at_us + 1)
        if charge.correlation_id == identifier(3)
        else charge
        for charge in good.final_state.charges
    ]
    return with_charges(good, charges)


def refuse_a_repeat(good: History) -> History:
    good.offers[2].attempts.append(Attempt(NOW_MS, "", OfferedAmount(300), 409))
    return good


def charge_what_nobody_offered(good: History) -> History:
    return replace(good, offers=[offer for offer in good.offers if offer.correlation_id != identifier(8)])


def charge_what_was_refused(*statuses: int | None) -> Callable[[History], History]:
    def change(good: History) -> History:
        state, charge = good.final_state, make_charge(7)
        charged = with_final_state(
            with_charges(good, [*state.charges, charge]),
            payments=[*state.payments, payment_of(charge)],
            settlements=[*state.settlements, settlement_of(charge)],
        )
        offers = [make_offer(7, *statuses) if each.correlation_id == identifier(7) else each for each in good.offers]
        return replace(charged, offers=offers, answers=[], final_answers=[])

    return change


def record_what_was_refused(good: History) -> History:
    return with_final_state(good, payments=[*good.final_state.payments, payment_of(make_charge(7))])


def settle_what_was_not_charged(good: History) -> History:
    settlements = [*good.final_state.settlements, settlement_of(make_charge(7))]
    return with_final_state(
        good, settlements=settlements, payments=[*good.final_state.payments, payment_of(make_charge(7))]
    )


def forget_what_was_charged_without_an_answer(good: History) -> History:
    return with_final_state(good, settlements=without(good.final_state.settlements, 8))


def charge_in_another_currency(good: History) -> History:
    charges = [
        replace(each, currency="JPY") if each.correlation_id == identifier(3) else each
        for each in good.final_state.charges
    ]
    return with_final_state(good, charges=charges)


def record_another_currency(good: History) -> History:
    payments = [
        replace(each, currency="JPY") if each.correlation_id == identifier(3) else each
        for each in good.final_state.payments
    ]
    return with_final_state(good, payments=payments)


def take_another_fee(good: History) -> History:
    first, second = good.final_state.totals
    return with_final_state(good, totals=[replace(first, total_fee=first.total_fee + Decimal("0.01")), second])


def answer_one_too_few(good: History) -> History:
    return replace(good, answers=[answer((5, 1500), (1, 600)), *good.answers])


def answer_a_cent_too_much(good: History) -> History:
    return replace(good, answers=[answer((6, 2301), (1, 600))])


def answer_on_the_wrong_processor(good: History) -> History:
    return replace(good, answers=[answer((1, 600), (6, 2300))])


def differ_at_rest(good: History) -> History:
    return replace(good, final_answers=[answer((6, 2300), (0, 0), final=False)])


def lose_another_amount(good: History) -> History:
    offer = good.offers[2]
    offer.other_amount = OfferedAmount(5)
    offer.attempts.append(Attempt(NOW_MS, "", offer.other_amount, 202))
    return good


@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        (lose_everywhere, {"lost": 1}),
        (lose_the_settlement, {"lost": 1, "wrong_totals": 1}),
        (leave_claimed, {"unknown": 1, "wrong_totals": 1}),
        (charge_on_both, {"duplicated": 1, "wrong_totals": 1, "untrue_summaries": 2}),
        (charge_twice_on_one, {"duplicated": 1, "wrong_totals": 1, "untrue_summaries": 2}),
        (change_settlement(3, amount_minor=301), {"mismatched": 1, "wrong_totals": 1}),
        (change_settlement(3, processor="fallback"), {"mismatched": 1, "wrong_totals": 2}),
        (change_settlement(3, requested_at_ms=NOW_MS + 4), {"mismatched": 1}),
        (charge_another_amount, {"mismatched": 1}),
        (send_microseconds, {"mismatched": 1}),
        (charge_in_another_currency, {"mismatched": 1, "untrue_summaries": 2}),
        (record_another_currency, {"mismatched": 1}),
        (change_settlement(3, currency="JPY"), {"mismatched": 1, "wrong_totals": 1}),
        (refuse_a_repeat, {"mismatched": 1}),
        (charge_what_nobody_offered, {"phantom": 1}),
        (charge_what_was_refused(503), {"phantom": 1}),
        (charge_what_was_refused(503, 503), {"phantom": 1}),
        (charge_what_was_refused(503, 429), {"phantom": 1, "mismatched": 1}),
        (record_what_was_refused, {"phantom": 1}),
        (settle_what_was_not_charged, {"phantom": 1, "wrong_totals": 1}),
        (forget_what_was_charged_without_an_answer, {"phantom": 1, "wrong_totals": 1}),
        (take_another_fee, {"wrong_totals": 1}),
        (answer_one_too_few, {"untrue_summaries": 1}),
        (answer_a_cent_too_much, {"untrue_summaries": 1}),
        (answer_on_the_wrong_processor, {"untrue_summaries": 1}),
        (differ_at_rest, {"untrue_summaries": 1}),
    ],
)
def test_each_planted_discrepancy_is_found(
    good: History, plant: Callable[[History], History], expected: dict[str, int]
) -> None:
    result = check_history(plant(good))
    assert expected == findings(result)
    assert not result.ok


@pytest.mark.parametrize("status", [None, 202, 500, 502])
def test_a_payment_may_be_charged_when_one_of_its_posts_was_answered_otherwise(
    good: History, status: int | None
) -> None:
    assert findings(check_history(charge_what_was_refused(503, status, 503)(good))) == {}


def test_a_payment_may_be_charged_after_the_503_that_does_not_know(good: History) -> None:
    charged = charge_what_was_refused(503)(good)
    doubtful = Attempt(NOW_MS, "", OfferedAmount(700), 503, '{"detail": "the journal does not answer"}')
    charged.offers[6].attempts.append(doubtful)
    assert findings(check_history(charged)) == {}


def test_another_amount_that_is_recorded_nowhere_is_reported_and_breaks_no_promise(good: History) -> None:
    result = check_history(lose_another_amount(good))
    assert findings(result) == {"lost_conflicts": 1}
    assert result.ok


def test_a_summary_that_is_not_final_may_be_wrong(good: History) -> None:
    answers = [answer((0, 0), (0, 0), final=False), answer((0, 0), (0, 0), status=503, final=False)]
    result = check_history(replace(good, answers=answers))
    assert result.untrue_summaries == ()
    assert result.summaries == {"final": 0, "open": 1, "unavailable": 1, "wrong": 0}


def test_other_currencies_are_checked_apart(good: History) -> None:
    amount = OfferedAmount(1990, "JPY")
    offer = OfferedPayment(identifier(9), amount, attempts=[Attempt(NOW_MS, "", amount, 202)])
    charge = BookedCharge("fallback", identifier(9), 1990, (NOW_MS + 9) * 1000, "JPY")
    totals = {"default": ChargeTotals(6, 2300), "fallback": ChargeTotals(1, 600), "fallback JPY": ChargeTotals(1, 1990)}
    state = good.final_state
    history = replace(
        with_final_state(
            good,
            charges=[*state.charges, charge],
            payments=[*state.payments, replace(payment_of(charge), currency="JPY")],
            settlements=[*state.settlements, replace(settlement_of(charge), currency="JPY")],
        ),
        offers=[*good.offers, offer],
        answers=[
            answer((6, 2300), (1, 600), totals=totals),
            answer(
                (0, 0), (0, 0), totals={"default": ChargeTotals(0, 0), "fallback": ChargeTotals(0, 0)}, to_ms=NOW_MS
            ),
        ],
        final_answers=[],
    )
    assert check_history(history).ok
    assert findings(check_history(replace(history, answers=[answer((6, 2300), (1, 600))]))) == {"untrue_summaries": 1}
    mixed = {"default": ChargeTotals(6, 2300), "fallback": ChargeTotals(2, 2590)}
    assert not check_history(replace(history, answers=[answer((0, 0), (0, 0), totals=mixed)])).ok


def test_sums_in_postgres_that_differ_from_their_settlements_are_found(good: History) -> None:
    found = check_history(replace(good, final_state=replace(good.final_state, wrong_sums=1)))
    assert (found.wrong_sums, found.ok) == (1, False)


def test_replicas_that_believe_that_postgres_forgot_something_are_found(good: History) -> None:
    found = check_history(with_final_state(good, doubted_history="system/00000001"))
    assert (found.doubted_history, found.ok) == ("system/00000001", False)


def test_a_run_that_proves_nothing_is_not_ok(good: History) -> None:
    never_final = check_history(replace(good, answers=[answer((0, 0), (0, 0), final=False)]))
    assert (never_final.ok, never_final.inconclusive) == (False, ("no summary was final",))
    idle = check_history(replace(good, offers=[]))
    assert "nothing was accepted" in idle.inconclusive
    refused = check_history(replace(good, answers=[answer((0, 0), (0, 0), status=404, final=False)]))
    assert "1 summaries were answered neither with 200 nor with 503" in refused.inconclusive
    restless = check_history(replace(good, final_answers=[answer((6, 2300), (0, 0), final=False)]))
    assert restless.inconclusive == ("a summary at rest is not final",)
    assert check_history(replace(good, unexpected_ends=["replica-1"])).inconclusive == ("replica-1 ended by itself",)


@pytest.mark.parametrize(
    ("from_ms", "to_ms", "default"),
    [
        (NOW_MS + 2, NOW_MS + 4, (3, 900)),
        (NOW_MS + 3, NOW_MS + 3, (1, 300)),
        (None, NOW_MS + 2, (2, 300)),
        (NOW_MS + 5, None, (2, 1300)),
        (NOW_MS - 9, NOW_MS, (0, 0)),
    ],
)
def test_both_bounds_of_a_window_are_inside(
    good: History, from_ms: int | None, to_ms: int | None, default: tuple[int, int]
) -> None:
    fallback = (1, 600) if to_ms is None else (0, 0)
    answers = [answer(default, fallback, from_ms=from_ms, to_ms=to_ms)]
    assert check_history(replace(good, answers=answers)).ok


RIVALS = OfferedPayment(
    identifier(9),
    OfferedAmount(5),
    other_amount=OfferedAmount(900),
    is_rival=True,
    attempts=[Attempt(NOW_MS, "", OfferedAmount(5), 202), Attempt(NOW_MS, "", OfferedAmount(900), 202)],
)


def with_rivals(good: History, minor: int, **answers: int) -> History:
    """Add rivals of which this amount was charged, and what a replica answers at rest to `won` and to `lost`."""
    charge = BookedCharge("default", identifier(9), minor, (NOW_MS + 9) * 1000)
    state = good.final_state
    history = with_charges(good, [*state.charges, charge])
    history = with_final_state(
        history,
        payments=[*state.payments, payment_of(charge)],
        settlements=[*state.settlements, settlement_of(charge)],
        conflicts=[PaymentRow(identifier(9), 905 - minor, NOW_MS)],
    )
    expected = {"won": 202, "lost": 409}
    rival_answers = [
        RivalAnswer("", identifier(9), OfferedAmount(minor), status, expected[name]) for name, status in answers.items()
    ]
    return replace(history, offers=[*history.offers, RIVALS], answers=(), final_answers=(), rival_answers=rival_answers)


@pytest.mark.parametrize("minor", [5, 900])
def test_of_rivals_either_amount_may_be_charged(good: History, minor: int) -> None:
    assert findings(check_history(with_rivals(good, minor, won=202, lost=409))) == {}


@pytest.mark.parametrize(
    "planted", [lambda good: with_rivals(good, 5, won=409), lambda good: with_rivals(good, 5, lost=202)]
)
def test_a_replica_that_does_not_know_at_rest_which_rival_was_first_is_found(
    good: History, planted: Callable[[History], History]
) -> None:
    assert check_history(planted(good)).mismatched == {identifier(9)}


def test_rivals_that_are_charged_with_a_third_amount_or_with_both_are_found(good: History) -> None:
    assert check_history(with_rivals(good, 7)).mismatched == {identifier(9)}
    history = with_rivals(good, 5)
    settlements = [
        replace(row, amount_minor=900) if row.amount_minor == 5 else row for row in history.final_state.settlements
    ]
    assert check_history(with_final_state(history, settlements=settlements)).mismatched == {identifier(9)}
