"""The audit finds what is planted, each discrepancy in its own count, and nothing where all is well."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

import pytest

from ops.trial.audit import Report, audit
from ops.trial.evidence import (
    Books,
    Charge,
    ClaimRow,
    Evidence,
    PaymentRow,
    ProcessorTotals,
    SettlementRow,
)
from ops.trial.offers import Attempt, Form, Offer
from ops.trial.watch import SummaryAnswer, Totals

NOW_MS = 1_752_580_000_000
FEES = {"default": Decimal("0.05"), "fallback": Decimal("0.15")}
KEYS = ("unknown", "lost", "duplicated", "mismatched", "phantom", "wrong_totals", "untrue_summaries", "lost_conflicts")


def identifier(number: int) -> UUID:
    return UUID(int=number)


def make_offer(number: int, *statuses: int | None) -> Offer:
    cents = 100 * number
    attempts = [Attempt(NOW_MS, "", cents, status) for status in statuses]
    return Offer(identifier(number), cents, Form.JSON, attempts=attempts)


def make_charge(number: int, processor: str = "default") -> Charge:
    return Charge(processor, identifier(number), 100 * number, (NOW_MS + number) * 1000)


def settlement_of(charge: Charge) -> SettlementRow:
    return SettlementRow(
        charge.correlation_id, charge.processor, charge.amount_cents, charge.requested_at_us // 1000, 1
    )


def payment_of(charge: Charge) -> PaymentRow:
    return PaymentRow(charge.correlation_id, charge.amount_cents, NOW_MS)


def totals_of(charges: Sequence[Charge]) -> tuple[ProcessorTotals, ...]:
    totals = []
    for name, fee in FEES.items():
        cents = [charge.amount_cents for charge in charges if charge.processor == name]
        amount = Decimal(sum(cents)) / 100
        totals.append(ProcessorTotals(name, fee, len(cents), amount, (amount * fee).quantize(Decimal("0.01"))))
    return tuple(totals)


def answer(default: tuple[int, int], fallback: tuple[int, int], **changes: object) -> SummaryAnswer:
    totals = {"default": Totals(*default), "fallback": Totals(*fallback)}
    whole = SummaryAnswer("", NOW_MS + 99, None, NOW_MS + 99, 200, final=True, totals=totals)
    return replace(whole, **changes)  # type: ignore[arg-type]  # any of its fields


@pytest.fixture
def good() -> Evidence:
    """Payments 1 to 6, the last on the fallback; 7 was refused, 8 never answered, and yet charged."""
    charges = [*(make_charge(number) for number in range(1, 6)), make_charge(6, "fallback"), make_charge(8)]
    books = Books(
        charges=charges,
        totals=totals_of(charges),
        payments=[payment_of(charge) for charge in charges],
        settlements=[settlement_of(charge) for charge in charges],
    )
    offers = [make_offer(number, None, 503, 202) for number in range(1, 7)]
    offers += [make_offer(7, 503), make_offer(8, None)]
    return Evidence(offers, books, [answer((6, 2300), (1, 600))], [answer((6, 2300), (1, 600), to_ms=None)])


def findings(report: Report) -> dict[str, int]:
    return {key: len(getattr(report, key)) for key in KEYS if getattr(report, key)}


def with_books(evidence: Evidence, **changes: object) -> Evidence:
    return replace(evidence, books=replace(evidence.books, **changes))  # type: ignore[arg-type]  # any of its fields


def with_charges(evidence: Evidence, charges: Sequence[Charge]) -> Evidence:
    """Let the processors' own totals agree with their charges, so that one thing alone is wrong."""
    return with_books(evidence, charges=charges, totals=totals_of(charges))


def without(rows: Sequence[object], number: int) -> list[object]:
    return [row for row in rows if row.correlation_id != identifier(number)]  # type: ignore[attr-defined]  # all have


def test_nothing_is_found_where_all_is_well(good: Evidence) -> None:
    report = audit(good)
    assert findings(report) == {}
    assert report.ok
    assert (report.offered, report.accepted, report.settled) == (8, 6, 7)
    assert report.summaries == {"final": 1, "open": 0, "unavailable": 0, "wrong": 0}


def lose_everywhere(good: Evidence) -> Evidence:
    books = good.books
    return replace(
        with_books(
            with_charges(good, [charge for charge in books.charges if charge.correlation_id != identifier(3)]),
            payments=without(books.payments, 3),
            settlements=without(books.settlements, 3),
        ),
        answers=[],
        answers_at_rest=[],
    )


def lose_from_the_books(good: Evidence) -> Evidence:
    return with_books(good, settlements=without(good.books.settlements, 3))


def leave_claimed(good: Evidence) -> Evidence:
    claim = ClaimRow(identifier(3), "default", "1", 1)
    return with_books(good, settlements=without(good.books.settlements, 3), claims=[claim])


def charge_on_both(good: Evidence) -> Evidence:
    return with_charges(good, [*good.books.charges, make_charge(3, "fallback")])


def charge_twice_on_one(good: Evidence) -> Evidence:
    return with_charges(good, [*good.books.charges, make_charge(3)])


def change_settlement(number: int, **changes: object) -> Callable[[Evidence], Evidence]:
    def change(good: Evidence) -> Evidence:
        settlements = [
            replace(row, **changes) if row.correlation_id == identifier(number) else row  # type: ignore[arg-type]
            for row in good.books.settlements
        ]
        return with_books(good, settlements=settlements)

    return change


def charge_another_amount(good: Evidence) -> Evidence:
    def other(row: object) -> object:
        return replace(row, amount_cents=1) if row.correlation_id == identifier(3) else row  # type: ignore[attr-defined, type-var]

    books = good.books
    return replace(
        with_books(
            with_charges(good, [other(row) for row in books.charges]),  # type: ignore[misc]  # rows stay what they are
            settlements=[other(row) for row in books.settlements],
            payments=[other(row) for row in books.payments],
        ),
        answers=[],
        answers_at_rest=[],
    )


def send_microseconds(good: Evidence) -> Evidence:
    charges = [
        replace(charge, requested_at_us=charge.requested_at_us + 1)
        if charge.correlation_id == identifier(3)
        else charge
        for charge in good.books.charges
    ]
    return with_charges(good, charges)


def turn_a_repeat_away(good: Evidence) -> Evidence:
    good.offers[2].attempts.append(Attempt(NOW_MS, "", 300, 409))
    return good


def charge_what_nobody_offered(good: Evidence) -> Evidence:
    return replace(good, offers=[offer for offer in good.offers if offer.correlation_id != identifier(8)])


def settle_what_was_not_charged(good: Evidence) -> Evidence:
    settlements = [*good.books.settlements, settlement_of(make_charge(7))]
    return with_books(good, settlements=settlements, payments=[*good.books.payments, payment_of(make_charge(7))])


def forget_what_was_charged_without_an_answer(good: Evidence) -> Evidence:
    return with_books(good, settlements=without(good.books.settlements, 8))


def take_another_fee(good: Evidence) -> Evidence:
    first, second = good.books.totals
    return with_books(good, totals=[replace(first, total_fee=first.total_fee + Decimal("0.01")), second])


def answer_one_too_few(good: Evidence) -> Evidence:
    return replace(good, answers=[answer((5, 1500), (1, 600)), *good.answers])


def answer_a_cent_too_much(good: Evidence) -> Evidence:
    return replace(good, answers=[answer((6, 2301), (1, 600))])


def answer_on_the_wrong_processor(good: Evidence) -> Evidence:
    return replace(good, answers=[answer((1, 600), (6, 2300))])


def differ_at_rest(good: Evidence) -> Evidence:
    return replace(good, answers_at_rest=[answer((6, 2300), (0, 0), final=False)])


def lose_another_amount(good: Evidence) -> Evidence:
    offer = good.offers[2]
    offer.other_cents = 5
    offer.attempts.append(Attempt(NOW_MS, "", 5, 202))
    return good


@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        (lose_everywhere, {"lost": 1}),
        (lose_from_the_books, {"lost": 1, "wrong_totals": 1}),
        (leave_claimed, {"unknown": 1, "wrong_totals": 1}),
        (charge_on_both, {"duplicated": 1, "wrong_totals": 1, "untrue_summaries": 2}),
        (charge_twice_on_one, {"duplicated": 1, "wrong_totals": 1, "untrue_summaries": 2}),
        (change_settlement(3, amount_cents=301), {"mismatched": 1, "wrong_totals": 1}),
        (change_settlement(3, processor="fallback"), {"mismatched": 1, "wrong_totals": 2}),
        (change_settlement(3, requested_at_ms=NOW_MS + 4), {"mismatched": 1}),
        (charge_another_amount, {"mismatched": 1}),
        (send_microseconds, {"mismatched": 1}),
        (turn_a_repeat_away, {"mismatched": 1}),
        (charge_what_nobody_offered, {"phantom": 1}),
        (settle_what_was_not_charged, {"phantom": 1, "wrong_totals": 1}),
        (forget_what_was_charged_without_an_answer, {"phantom": 1, "wrong_totals": 1}),
        (take_another_fee, {"wrong_totals": 1}),
        (answer_one_too_few, {"untrue_summaries": 1}),
        (answer_a_cent_too_much, {"untrue_summaries": 1}),
        (answer_on_the_wrong_processor, {"untrue_summaries": 1}),
        (differ_at_rest, {"untrue_summaries": 1}),
    ],
)
def test_what_is_planted_is_found(
    good: Evidence, plant: Callable[[Evidence], Evidence], expected: dict[str, int]
) -> None:
    report = audit(plant(good))
    assert expected == findings(report)
    assert not report.ok


def test_another_amount_that_stands_nowhere_is_reported_and_breaks_nothing(good: Evidence) -> None:
    report = audit(lose_another_amount(good))
    assert findings(report) == {"lost_conflicts": 1}
    assert report.ok


def test_a_summary_that_is_not_final_may_say_anything(good: Evidence) -> None:
    answers = [answer((0, 0), (0, 0), final=False), answer((0, 0), (0, 0), status=503, final=False)]
    report = audit(replace(good, answers=answers))
    assert report.untrue_summaries == ()
    assert report.summaries == {"final": 0, "open": 1, "unavailable": 1, "wrong": 0}


def test_a_trial_in_which_nothing_was_proven_is_not_ok(good: Evidence) -> None:
    never_final = audit(replace(good, answers=[answer((0, 0), (0, 0), final=False)]))
    assert (never_final.ok, never_final.hollow) == (False, ("no summary was final",))
    idle = audit(replace(good, offers=[]))
    assert "nothing was accepted" in idle.hollow
    refused = audit(replace(good, answers=[answer((0, 0), (0, 0), status=404, final=False)]))
    assert "1 summaries were answered neither with 200 nor with 503" in refused.hollow
    restless = audit(replace(good, answers_at_rest=[answer((6, 2300), (0, 0), final=False)]))
    assert restless.hollow == ("a summary at rest is not final",)
    assert audit(replace(good, unexpected_ends=["replica-1"])).hollow == ("replica-1 ended by itself",)


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
    good: Evidence, from_ms: int | None, to_ms: int | None, default: tuple[int, int]
) -> None:
    fallback = (1, 600) if to_ms is None else (0, 0)
    answers = [answer(default, fallback, from_ms=from_ms, to_ms=to_ms)]
    assert audit(replace(good, answers=answers)).ok
