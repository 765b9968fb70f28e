"""Checks summaries against what the processors had booked at the moment of the question. Pure, as the checker is."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ops.chaostest.history import BookedCharge
from ops.chaostest.moment_probe import MomentAnswers
from ops.chaostest.summary_probe import ChargeTotals, total_key

OVERLAP_MS = 150
"""Time by which questions sent together may arrive apart, and which an answer takes from a processor to a replica."""
NOTHING = ChargeTotals(0, 0)


@dataclass(frozen=True, slots=True)
class UntrueMoment:
    """Answers of which one differs from what had been booked when it was given."""

    answers: MomentAnswers
    least: Mapping[str, ChargeTotals]
    """Totals of the charges that were booked before all questions and were answered."""
    most: Mapping[str, ChargeTotals]
    """Totals of the charges that were booked before the last answer."""


def untrue_moments(moments: Sequence[MomentAnswers], charges: Sequence[BookedCharge]) -> list[UntrueMoment]:
    """Find the answers that differ from the books of the processors by more than was booked while they were given.

    Charges whose answer was withheld may be missing: until they are looked up, only the processor knows of them.
    """
    found = []
    for answers in moments:
        window = [each for each in charges if _is_within(each, answers)]
        before_ms, after_ms = answers.sent_ms - OVERLAP_MS, answers.heard_ms + OVERLAP_MS
        least = _add_up(each for each in window if each.answered and each.booked_at_ms <= before_ms)
        most = _add_up(each for each in window if each.booked_at_ms <= after_ms)
        if not all(_is_between(told, least, most) for told in (answers.gateway.totals, answers.processors)):
            found.append(UntrueMoment(answers, least, most))
    return found


def _is_within(charge: BookedCharge, answers: MomentAnswers) -> bool:
    return answers.from_ms * 1000 <= charge.requested_at_us <= answers.to_ms * 1000


def _add_up(charges: Iterable[BookedCharge]) -> dict[str, ChargeTotals]:
    totals: dict[str, ChargeTotals] = {}
    for charge in charges:
        key = total_key(charge.processor, charge.currency)
        before = totals.get(key, NOTHING)
        totals[key] = ChargeTotals(before.requests + 1, before.minor + charge.amount_minor)
    return totals


def _is_between(
    told: Mapping[str, ChargeTotals], least: Mapping[str, ChargeTotals], most: Mapping[str, ChargeTotals]
) -> bool:
    return all(
        low.requests <= mine.requests <= high.requests and low.minor <= mine.minor <= high.minor
        for key in told.keys() | most.keys()
        for low, mine, high in [tuple(each.get(key, NOTHING) for each in (least, told, most))]
    )
