"""A run in which one payment was accepted and lost, and another was charged twice, both with a name that is markup."""

from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from ops.chaostest.checker import check_history
from ops.chaostest.history import BookedCharge, FinalState, History, PaymentRow, SettlementRow
from ops.chaostest.nemesis import InjectedFault
from ops.chaostest.observed_run import ObservedRun
from ops.chaostest.options import ChaosOptions
from ops.chaostest.page import make_page
from ops.chaostest.report import ChaosResult
from ops.chaostest.schedule import ScheduledFault
from ops.chaostest.workload import Attempt, BodyFormat, OfferedAmount, OfferedPayment

BEGAN_MS = 1_764_144_000_000
LOST, TWICE, GOOD = UUID(int=1), UUID(int=2), UUID(int=3)
AMOUNT = OfferedAmount(1990)
MARKUP = '<img src="http://127.0.0.1:1/x.png" onerror="alert(1)">'
HISTORY = {
    "correlationId": str(LOST),
    "steps": [
        {"at": "2025-11-26T08:00:02.100Z", "what": "charge ended: failed", "processor": "default", "replica": "2"},
        {"at": None, "what": "accepted by a replica that has ended", "processor": None, "replica": None},
        {"at": "2025-11-26T08:00:01.005Z", "what": "accepted: it is in a journal", "processor": None, "replica": None},
    ],
    "waitsFor": "waits: the outage has only just begun",
}


def offer(correlation_id: UUID, at_ms: int, *answers: tuple[int | None, str]) -> OfferedPayment:
    attempts = [
        Attempt(BEGAN_MS + at_ms + 10 * number, "http://127.0.0.1:1", AMOUNT, status, error, BEGAN_MS + at_ms + 5)
        for number, (status, error) in enumerate(answers)
    ]
    return OfferedPayment(correlation_id, AMOUNT, BodyFormat.MAP, attempts=attempts)


def charge(correlation_id: UUID, processor: str, at_ms: int) -> BookedCharge:
    requested_at_us = (BEGAN_MS + at_ms) * 1000
    return BookedCharge(processor, correlation_id, AMOUNT.minor, requested_at_us, booked_at_ms=BEGAN_MS + at_ms + 3)


def run_with(offers: Sequence[OfferedPayment], state: FinalState, rest_s: float | None = 1.5) -> ObservedRun:
    history = History(offers, state)
    injected = [
        InjectedFault(ScheduledFault(1.0, "kill", "replica-1", 2.0), 1.1, 3.2),
        InjectedFault(ScheduledFault(4.0, "fail", MARKUP, None, {"failureRate": 0.4}), 4.1),
    ]
    histories = {LOST: [HISTORY]}
    return ObservedRun(
        history, check_history(history), {"kill_replica": 1}, injected, BEGAN_MS, rest_s, histories=histories
    )


def broken_run() -> ObservedRun:
    offers = [
        offer(LOST, 1000, (None, f"the connection was closed: {MARKUP}"), (202, "")),
        offer(TWICE, 1500, (202, "")),
        offer(GOOD, 2000, (202, "")),
    ]
    charges = [charge(TWICE, "default", 1600), charge(TWICE, "fallback", 3000), charge(GOOD, "default", 2100)]
    charged = ((TWICE, 1600), (GOOD, 2100))
    settlements = [SettlementRow(each, "default", AMOUNT.minor, BEGAN_MS + at_ms, 1) for each, at_ms in charged]
    payments = [PaymentRow(each, AMOUNT.minor, BEGAN_MS + 1000) for each in (LOST, TWICE, GOOD)]
    return run_with(offers, FinalState(charges=charges, payments=payments, settlements=settlements))


def good_run() -> ObservedRun:
    state = FinalState(
        charges=[charge(GOOD, "default", 2100)],
        payments=[PaymentRow(GOOD, AMOUNT.minor, BEGAN_MS + 2005)],
        settlements=[SettlementRow(GOOD, "default", AMOUNT.minor, BEGAN_MS + 2100, 1)],
    )
    return run_with([offer(GOOD, 2000, (202, ""))], state)


def result_of(run: ObservedRun) -> ChaosResult:
    options = ChaosOptions(6.0, 7, "mix", Path("/nowhere"), 150.0, 1.0, None)
    fees, injected = {"paid": 1.0}, len(run.injected)
    return ChaosResult(options, run.check, run.faults, injected, run.rest_s, "abc1234", fees, {}, run.neighbours)


def page_of(run: ObservedRun) -> str:
    return make_page(result_of(run), run)
