"""The checker: compares what clients were told, what processors booked and what the gateway recorded.

It is pure: it reads a history and does no input or output.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from http import HTTPStatus
from itertools import accumulate
from uuid import UUID

from ops.chaostest.endings import in_doubt, justified_closures, misstated
from ops.chaostest.history import BookedCharge, FinalState, History, PaymentRow, ProcessorTotals, SettlementRow
from ops.chaostest.moment_checker import UntrueMoment, untrue_moments
from ops.chaostest.summary_probe import ChargeTotals, SummaryAnswer, total_key, without_zeros
from ops.chaostest.workload import DEFAULT_CURRENCY, OfferedPayment

CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class UntrueSummary:
    """A summary that a replica called final, and what the processors booked in the same window instead."""

    answer: SummaryAnswer
    expected: Mapping[str, ChargeTotals]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What the checker found in a history; the sets hold ids of payments."""

    offered: int
    accepted: int
    """How many offered payments were answered 202."""
    refused: int
    """How many got only answers that promise that nothing is kept."""
    settled: int
    closed: Mapping[str, int]
    """How many payments ended without a charge, by their state."""
    in_doubt: frozenset[UUID]
    """Payments that a processor which never came back may have charged, shown as unknown; no promise is broken."""
    in_doubt_charged: int
    """How many of these payments that processor has charged, as its own records say."""
    unknown: frozenset[UUID]
    """Other accepted payments that a replica still has a claim on, so that their outcome is not known yet."""
    lost: frozenset[UUID]
    """Accepted payments that no processor has charged, or that Postgres has no settlement of, without a reason."""
    duplicated: frozenset[UUID]
    """Payments that were charged more than once."""
    mismatched: frozenset[UUID]
    """Payments whose amount, processor or instant differs between the records, or that were refused without reason.

    A payment also counts if a replica does not know at rest which one of two amounts was first.
    """
    phantom: frozenset[UUID]
    """Payments charged or recorded without having been offered, in spite of a refusal, or by one side alone."""
    misstated: frozenset[UUID]
    """Payments that ended without a charge, and for which a replica tells another state."""
    wrong_totals: tuple[str, ...]
    """Processors whose own totals or fees differ from the settlements in Postgres."""
    wrong_sums: int
    """Sums in Postgres that differ from their settlements."""
    doubted_history: str | None
    """The history of Postgres of which a replica believed that it lacks something; no fault of a run takes anything."""
    summaries: Mapping[str, int]
    """How many summaries were final, open (not final), unavailable (503) or wrong (another status)."""
    untrue_summaries: tuple[UntrueSummary, ...]
    inconclusive: tuple[str, ...]
    """Reasons why the run proves nothing, or which service needed a restart, whatever the counts are."""
    moments_checked: int = 0
    """How many summaries were compared with the processors' own at the same moment."""
    untrue_moments: tuple[UntrueMoment, ...] = ()
    lost_conflicts: frozenset[UUID] = field(default_factory=frozenset)
    """Payments posted with another amount that was answered 202 but is recorded nowhere; no promise forbids that."""

    @property
    def ok(self) -> bool:
        """Whether every promise was kept, and the run proves it."""
        untrue = self.wrong_totals or self.wrong_sums or self.untrue_summaries or self.untrue_moments
        return not (self.broken or untrue or self.doubted_history or self.inconclusive)

    @property
    def unanswered(self) -> int:
        """How many payments got no answer, or only answers that do not tell whether they are kept."""
        return self.offered - self.accepted - self.refused

    @property
    def broken(self) -> frozenset[UUID]:
        """The payments for which a promise was broken."""
        return self.unknown | self.lost | self.duplicated | self.mismatched | self.phantom | self.misstated


def check_history(history: History) -> CheckResult:
    """Check every payment, every processor and every summary of a run."""
    state, offers = history.final_state, {offer.correlation_id: offer for offer in history.offers}
    charges: dict[UUID, list[BookedCharge]] = defaultdict(list)
    for charge in state.charges:
        charges[charge.correlation_id].append(charge)
    settlements = {row.correlation_id: row for row in state.settlements}
    claimed = {row.correlation_id for row in state.claims}
    accepted = {offer.correlation_id for offer in history.offers if offer.accepted}
    refused = {offer.correlation_id for offer in history.offers if offer.refused}
    recorded = {row.correlation_id: {(row.amount_minor, row.currency)} for row in state.payments}
    doubtful, closed = in_doubt(history), justified_closures(state)
    unknown = accepted & claimed - doubtful
    conflicts = {(row.correlation_id, row.amount_minor, row.currency) for row in state.conflicts}
    answers = Counter(_kind(answer) for answer in history.answers)
    moments = [moment for moment in history.moments if moment.is_comparable]
    return CheckResult(
        offered=len(offers),
        accepted=len(accepted),
        refused=len(refused),
        settled=len(settlements),
        closed=Counter(row.state for row in state.closed),
        in_doubt=frozenset(doubtful),
        in_doubt_charged=len(doubtful & charges.keys()),
        unknown=frozenset(unknown),
        lost=frozenset(accepted - unknown - doubtful - closed - (charges.keys() & settlements.keys())),
        duplicated=frozenset(
            {correlation_id for correlation_id, found in charges.items() if len(found) > 1}
            | {row.correlation_id for row in state.disputes}
        ),
        mismatched=frozenset(_mismatched(offers, state.payments, settlements, charges))
        | {answer.correlation_id for answer in history.rival_answers if not answer.is_right},
        phantom=frozenset(
            (charges.keys() | recorded) - (offers.keys() - refused)
            | settlements.keys() - charges.keys()
            | charges.keys() - settlements.keys() - accepted - doubtful
        ),
        misstated=frozenset(misstated(state)),
        wrong_totals=tuple(_wrong_totals(state, doubtful)),
        wrong_sums=state.wrong_sums,
        doubted_history=state.doubted_history,
        summaries={kind: answers[kind] for kind in ("final", "open", "unavailable", "wrong")},
        untrue_summaries=tuple(_untrue_summaries(history, doubtful)),
        inconclusive=tuple(_hollow(history, accepted, answers, doubtful)),
        moments_checked=len(moments),
        untrue_moments=tuple(untrue_moments(moments, state.charges)),
        lost_conflicts=frozenset(
            offer.correlation_id
            for offer in history.offers
            for attempt in offer.attempts
            if attempt.amount == offer.other_amount
            and (attempt.amount.minor, attempt.amount.code) not in recorded.get(offer.correlation_id, ())
            and attempt.status == HTTPStatus.ACCEPTED
            and (offer.correlation_id, attempt.amount.minor, attempt.amount.code) not in conflicts
        ),
    )


def _mismatched(
    offers: Mapping[UUID, OfferedPayment],
    payments: Sequence[PaymentRow],
    settlements: Mapping[UUID, SettlementRow],
    charges: Mapping[UUID, Sequence[BookedCharge]],
) -> Iterator[UUID]:
    rows = {row.correlation_id: row for row in payments}
    for correlation_id, offer in offers.items():
        settlement, payment = settlements.get(correlation_id), rows.get(correlation_id)
        found = charges.get(correlation_id, ())
        amounts = {(row.amount_minor, row.currency) for row in (settlement, payment, *found) if row is not None}
        if (
            amounts - {(amount.minor, amount.code) for amount in offer.amounts}
            or len(amounts) > 1
            or (settlement is not None and payment is None)
            or _was_refused(offer)
        ):
            yield correlation_id
        elif settlement is not None and found:
            charged = {(charge.processor, charge.requested_at_us) for charge in found}
            if (settlement.processor, settlement.requested_at_ms * 1000) not in charged:
                yield correlation_id


def _was_refused(offer: OfferedPayment) -> bool:
    """Tell whether a client was refused with a 4xx although it posted its payment with one amount only."""
    return offer.other_amount is None and any(
        attempt.status is not None
        and attempt.status != HTTPStatus.ACCEPTED
        and attempt.status < HTTPStatus.INTERNAL_SERVER_ERROR
        for attempt in offer.attempts
    )


def _wrong_totals(state: FinalState, doubtful: AbstractSet[UUID]) -> Iterator[str]:
    unrecorded = [charge for charge in state.charges if charge.correlation_id in doubtful]
    expected: list[BookedCharge | SettlementRow] = [*state.settlements, *unrecorded, *state.foreign]
    for totals in state.totals:
        cents = [
            row.amount_minor
            for row in expected
            if row.processor == totals.processor and row.currency == DEFAULT_CURRENCY
        ]
        amount = sum(cents) * CENT
        total_fee = (amount * totals.fee).quantize(CENT, ROUND_HALF_EVEN)
        if totals != ProcessorTotals(totals.processor, totals.fee, len(cents), amount, total_fee):
            yield totals.processor


def _hollow(
    history: History, accepted: AbstractSet[UUID], answers: Mapping[str, int], doubtful: AbstractSet[UUID]
) -> Iterator[str]:
    if not accepted:
        yield "nothing was accepted"
    if history.answers and not answers["final"]:
        yield "no summary was final"
    if answers["wrong"]:
        yield f"{answers['wrong']} summaries were answered neither with 200 nor with 503"
    yield from (f"{name} ended by itself" for name in history.unexpected_ends)
    if not doubtful and not all(answer.final for answer in history.final_answers):
        yield "a summary at rest is not final"


def _kind(answer: SummaryAnswer) -> str:
    if answer.status == HTTPStatus.OK:
        return "final" if answer.final else "open"
    return "unavailable" if answer.status == HTTPStatus.SERVICE_UNAVAILABLE else "wrong"


def _untrue_summaries(history: History, doubtful: AbstractSet[UUID]) -> Iterator[UntrueSummary]:
    # A final answer must stay true for ever, so it can be compared with what has been charged at the end of the run.
    state = history.final_state
    final = [answer for answer in history.answers if _kind(answer) == "final"]
    yield from _differences(final, state, state.charges)
    # At rest the gateway cannot know what a processor that is gone has charged, and says that its summary is not final.
    known = [charge for charge in state.charges if charge.correlation_id not in doubtful]
    yield from _differences(history.final_answers, state, known)


def _differences(
    answers: Sequence[SummaryAnswer], state: FinalState, charges: Sequence[BookedCharge]
) -> Iterator[UntrueSummary]:
    booked: dict[str, list[BookedCharge]] = {each.processor: [] for each in state.totals}
    for charge in charges:
        booked.setdefault(total_key(charge.processor, charge.currency), []).append(charge)
    by_instant = {key: _ChargesByInstant(mine) for key, mine in booked.items()}
    for answer in answers:
        expected = {key: mine.totals(answer.from_ms, answer.to_ms) for key, mine in by_instant.items()}
        if dict(answer.totals) != without_zeros(expected):
            yield UntrueSummary(answer, expected)


class _ChargesByInstant:
    """Charges of one processor and currency in the order of their instants, with running sums of their amounts."""

    def __init__(self, charges: Sequence[BookedCharge]) -> None:
        mine = sorted((each.requested_at_us, each.amount_minor) for each in charges)
        self._instants_us = [instant_us for instant_us, _ in mine]
        self._sums_minor = [0, *accumulate(minor for _, minor in mine)]

    def totals(self, from_ms: int | None, to_ms: int | None) -> ChargeTotals:
        first = 0 if from_ms is None else bisect_left(self._instants_us, from_ms * 1000)
        last = len(self._instants_us) if to_ms is None else bisect_right(self._instants_us, to_ms * 1000)
        return ChargeTotals(last - first, self._sums_minor[last] - self._sums_minor[first])
