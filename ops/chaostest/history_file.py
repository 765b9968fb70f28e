"""Writes the history of a chaos run as JSON lines for `ops/judge`; docs/reliability.md describes the format."""

import json
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path

from ops.chaostest.history import BookedCharge, FinalState, History
from ops.chaostest.summary_probe import ChargeTotals, SummaryAnswer
from ops.chaostest.workload import DEFAULT_CURRENCY, OfferedPayment
from ops.simulator.faults import Fault

FORMAT = 1
REASONS = {Fault.DECLINE.value: "declined", Fault.FALSE_DUPLICATE.value: "duplicate"}
"""The reason that a processor gave for not charging a payment, by the fault of its id."""
Record = dict[str, object]


def write_history(path: Path, history: History) -> None:
    """Write all that is known of a run, except what Postgres holds."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(record) + "\n" for record in records_of(history))


def records_of(history: History) -> Iterator[Record]:
    """Make the records of a history, one for each line."""
    state = history.final_state
    processors = sorted({each.processor for each in state.totals} | state.requests.keys())
    lost = sorted(history.lost_processors)
    yield {"kind": "run", "format": FORMAT, "processors": processors, "lost_processors": lost}
    for offer in history.offers:
        yield from _posts(offer)
    for answer in (*history.answers, *history.final_answers):
        yield _summary(answer)
    for moment in history.moments:
        together = {"processors": rows_of(moment.processors), "heard_ms": moment.heard_ms}
        yield {**_summary(moment.gateway), **(together if moment.is_comparable else {})}
    for charge in state.charges:
        yield _charge(charge)
    for charge in state.foreign:
        yield {**_charge(charge), "foreign": True}
    yield from _refusals(state)
    for correlation_id, told in state.told.items():
        for each in sorted(told):
            yield {"kind": "state", "id": str(correlation_id), "state": each}


def _posts(offer: OfferedPayment) -> Iterator[Record]:
    for attempt in offer.attempts:
        post: Record = {
            "kind": "post",
            "id": str(offer.correlation_id),
            "amount": attempt.amount.minor,
            "currency": attempt.amount.code,
            "sent_ms": attempt.at_ms,
            "answered_ms": attempt.answered_at_ms,
            "status": attempt.status,
        }
        if attempt.status == HTTPStatus.SERVICE_UNAVAILABLE and not attempt.refused:
            post["definite"] = False
        yield post


def _summary(answer: SummaryAnswer) -> Record:
    return {
        "kind": "summary",
        "from_ms": answer.from_ms,
        "to_ms": answer.to_ms,
        "asked_ms": answer.asked_at_ms,
        "status": answer.status,
        "final": answer.final,
        "totals": rows_of(answer.totals),
    }


def rows_of(totals: Mapping[str, ChargeTotals]) -> list[list[object]]:
    """Write totals that are named by `total_key` as rows of processor, currency, number and sum."""
    return [
        [*(key.split(" ") if " " in key else (key, DEFAULT_CURRENCY)), total.requests, total.minor]
        for key, total in sorted(totals.items())
    ]


def _charge(charge: BookedCharge) -> Record:
    return {
        "kind": "charge",
        "processor": charge.processor,
        "id": str(charge.correlation_id),
        "amount": charge.amount_minor,
        "currency": charge.currency,
        "requested_us": charge.requested_at_us,
        "booked_ms": charge.booked_at_ms or None,
        "answered": charge.answered,
    }


def _refusals(state: FinalState) -> Iterator[Record]:
    for processor, asked in state.requests.items():
        for correlation_id, fault in asked.items():
            reason = REASONS.get(fault or "")
            if reason:
                yield {"kind": "refusal", "processor": processor, "id": str(correlation_id), "reason": reason}
