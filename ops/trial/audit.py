"""Holds what clients were told, what processors booked and what the gateway recorded against each other: pure."""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from http import HTTPStatus
from itertools import accumulate
from uuid import UUID

from ops.trial.evidence import Books, Charge, Evidence, PaymentRow, ProcessorTotals, SettlementRow
from ops.trial.offers import Offer
from ops.trial.watch import SummaryAnswer, Totals

CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class UntrueSummary:
    """A summary that was said to be final, and what the processors have for its window."""

    answer: SummaryAnswer
    expected: Mapping[str, Totals]


@dataclass(frozen=True, slots=True)
class Report:
    """What an audit found."""

    offered: int
    accepted: int
    """Of these, a client was told that they are durable; the rest was refused or never answered."""
    settled: int
    unknown: frozenset[UUID]
    """Accepted, and still claimed by a replica."""
    lost: frozenset[UUID]
    """Accepted, and charged nowhere or not in the books."""
    duplicated: frozenset[UUID]
    """Charged more than once."""
    mismatched: frozenset[UUID]
    """Amount, processor or instant differ between those who know it, or a client was refused what it may do."""
    phantom: frozenset[UUID]
    """Charged, but never offered or not in the books; or in the books, but not charged."""
    wrong_totals: tuple[str, ...]
    """Processors whose own totals or fees differ from the books'."""
    summaries: Mapping[str, int]
    untrue_summaries: tuple[UntrueSummary, ...]
    hollow: tuple[str, ...]
    """Why the trial proves nothing, or that a part needed a restart, whatever the counts are."""
    lost_conflicts: frozenset[UUID] = field(default_factory=frozenset)
    """Other amounts that were answered 202 and stand nowhere: reported, but no promise."""

    @property
    def ok(self) -> bool:
        """Whether every promise was kept."""
        return not (self.broken or self.wrong_totals or self.untrue_summaries or self.hollow)

    @property
    def broken(self) -> frozenset[UUID]:
        """The payments with which a promise was broken."""
        return self.unknown | self.lost | self.duplicated | self.mismatched | self.phantom


def audit(evidence: Evidence) -> Report:
    """Look at every payment, every processor and every summary."""
    books, offers = evidence.books, {offer.correlation_id: offer for offer in evidence.offers}
    charges: dict[UUID, list[Charge]] = defaultdict(list)
    for charge in books.charges:
        charges[charge.correlation_id].append(charge)
    settlements = {row.correlation_id: row for row in books.settlements}
    claimed = {row.correlation_id for row in books.claims}
    accepted = {offer.correlation_id for offer in evidence.offers if offer.accepted}
    unknown = accepted & claimed
    conflicts = {(row.correlation_id, row.amount_cents) for row in books.conflicts}
    answers = Counter(_kind(answer) for answer in evidence.answers)
    return Report(
        offered=len(offers),
        accepted=len(accepted),
        settled=len(settlements),
        unknown=frozenset(unknown),
        lost=frozenset(accepted - unknown - (charges.keys() & settlements.keys())),
        duplicated=frozenset(correlation_id for correlation_id, found in charges.items() if len(found) > 1),
        mismatched=frozenset(_mismatched(offers, books.payments, settlements, charges)),
        phantom=frozenset(
            charges.keys() - offers.keys()
            | {row.correlation_id for row in books.payments} - offers.keys()
            | settlements.keys() - charges.keys()
            | charges.keys() - settlements.keys() - accepted
        ),
        wrong_totals=tuple(_wrong_totals(books)),
        summaries={kind: answers[kind] for kind in ("final", "open", "unavailable", "wrong")},
        untrue_summaries=tuple(_untrue_summaries(evidence)),
        hollow=tuple(_hollow(evidence, accepted, answers)),
        lost_conflicts=frozenset(
            offer.correlation_id
            for offer in evidence.offers
            for attempt in offer.attempts
            if attempt.amount_cents == offer.other_cents
            and attempt.status == HTTPStatus.ACCEPTED
            and (offer.correlation_id, offer.other_cents) not in conflicts
        ),
    )


def _mismatched(
    offers: Mapping[UUID, Offer],
    payments: Sequence[PaymentRow],
    settlements: Mapping[UUID, SettlementRow],
    charges: Mapping[UUID, Sequence[Charge]],
) -> Iterator[UUID]:
    rows = {row.correlation_id: row for row in payments}
    for correlation_id, offer in offers.items():
        settlement, payment = settlements.get(correlation_id), rows.get(correlation_id)
        found = charges.get(correlation_id, ())
        amounts = {row.amount_cents for row in (settlement, payment, *found) if row is not None}
        if amounts - {offer.amount_cents} or (settlement is not None and payment is None) or _was_turned_away(offer):
            yield correlation_id
        elif settlement is not None and found:
            charged = {(charge.processor, charge.requested_at_us) for charge in found}
            if (settlement.processor, settlement.requested_at_ms * 1000) not in charged:
                yield correlation_id


def _was_turned_away(offer: Offer) -> bool:
    """Tell whether a client was told that its payment is wrong, although it posted one amount alone."""
    return offer.other_cents is None and any(
        attempt.status is not None
        and attempt.status != HTTPStatus.ACCEPTED
        and attempt.status < HTTPStatus.INTERNAL_SERVER_ERROR
        for attempt in offer.attempts
    )


def _wrong_totals(books: Books) -> Iterator[str]:
    for totals in books.totals:
        cents = [row.amount_cents for row in books.settlements if row.processor == totals.processor]
        amount = sum(cents) * CENT
        total_fee = (amount * totals.fee).quantize(CENT, ROUND_HALF_EVEN)
        if totals != ProcessorTotals(totals.processor, totals.fee, len(cents), amount, total_fee):
            yield totals.processor


def _hollow(evidence: Evidence, accepted: AbstractSet[UUID], answers: Mapping[str, int]) -> Iterator[str]:
    if not accepted:
        yield "nothing was accepted"
    if evidence.answers and not answers["final"]:
        yield "no summary was final"
    if answers["wrong"]:
        yield f"{answers['wrong']} summaries were answered neither with 200 nor with 503"
    yield from (f"{name} ended by itself" for name in evidence.unexpected_ends)
    if not all(answer.final for answer in evidence.answers_at_rest):
        yield "a summary at rest is not final"


def _kind(answer: SummaryAnswer) -> str:
    if answer.status == HTTPStatus.OK:
        return "final" if answer.final else "open"
    return "unavailable" if answer.status == HTTPStatus.SERVICE_UNAVAILABLE else "wrong"


def _untrue_summaries(evidence: Evidence) -> Iterator[UntrueSummary]:
    # A final answer stays true for ever, so it can be held against what is charged in the end.
    ledgers = {totals.processor: _Ledger(totals.processor, evidence.books.charges) for totals in evidence.books.totals}
    final = [answer for answer in evidence.answers if _kind(answer) == "final"]
    for answer in (*final, *evidence.answers_at_rest):
        expected = {name: ledger.totals(answer.from_ms, answer.to_ms) for name, ledger in ledgers.items()}
        if dict(answer.totals) != expected:
            yield UntrueSummary(answer, expected)


class _Ledger:
    """One processor's charges in the order of their instants."""

    def __init__(self, processor: str, charges: Sequence[Charge]) -> None:
        mine = sorted((each.requested_at_us, each.amount_cents) for each in charges if each.processor == processor)
        self._instants_us = [instant_us for instant_us, _ in mine]
        self._sums_cents = [0, *accumulate(cents for _, cents in mine)]

    def totals(self, from_ms: int | None, to_ms: int | None) -> Totals:
        first = 0 if from_ms is None else bisect_left(self._instants_us, from_ms * 1000)
        last = len(self._instants_us) if to_ms is None else bisect_right(self._instants_us, to_ms * 1000)
        return Totals(last - first, self._sums_cents[last] - self._sums_cents[first])
