"""The ends of a payment other than its settlement, and which of them the processors' records justify. It is pure."""

from collections.abc import Collection, Mapping
from uuid import UUID

from ops.chaostest.history import FinalState, History
from ops.simulator.faults import Fault

DECLINED, MISMATCHED, UNKNOWN = "declined", "mismatched", "unknown"
"""The states that `GET /payments/{id}` tells of payments that are not settled."""
MISMATCHING = frozenset({Fault.OTHER_AMOUNT.value, Fault.FALSE_DUPLICATE.value})
"""The faults of an id after which a payment is rightly called mismatched."""
UNASKED_MAX = 20
"""How many payments may be in doubt although the processor that is gone was never asked for them.

Their rows named it, or their requests were on their way, when its port was closed or their replica was killed.
"""


def justified_closures(state: FinalState) -> set[UUID]:
    """Find the closed payments that ended rightly.

    Every processor has declined them, or one of them holds another amount under their id or says that it has charged an
    id that it does not hold. None of them was charged at the request of the run.
    """
    charged = {charge.correlation_id for charge in state.charges}
    return {
        row.correlation_id
        for row in state.closed
        if row.correlation_id not in charged and _is_justified(row.correlation_id, row.state, state.requests)
    }


def _is_justified(correlation_id: UUID, state: str, requests: Mapping[str, Mapping[UUID, str | None]]) -> bool:
    faults = {asked.get(correlation_id) for asked in requests.values()}
    match state:
        case "declined":
            return faults == {Fault.DECLINE.value}
        case "mismatched":
            return bool(faults & MISMATCHING)
    return False


def in_doubt(history: History) -> set[UUID]:
    """Find the payments that only a processor which never came back can tell of, and that are shown as unknown.

    None of them was charged by a processor that works.
    If it was never asked for more than `UNASKED_MAX` of them, these are left out: they were held back for no reason.
    """
    state = history.final_state
    claimed = {row.correlation_id for row in state.claims if row.processor in history.lost_processors}
    elsewhere = {charge.correlation_id for charge in state.charges if charge.processor not in history.lost_processors}
    doubtful = {each for each in claimed - elsewhere if UNKNOWN in state.told.get(each, ())}
    unasked = doubtful - asked_of(state.requests, history.lost_processors)
    return doubtful - unasked if len(unasked) > UNASKED_MAX else doubtful


def asked_of(requests: Mapping[str, Mapping[UUID, str | None]], processors: Collection[str]) -> set[UUID]:
    """Find the payments that any of these processors was asked for."""
    return {each for name in processors for each in requests.get(name, ())}


def misstated(state: FinalState) -> set[UUID]:
    """Find the closed payments for which a replica tells another state than theirs."""
    return {row.correlation_id for row in state.closed if set(state.told.get(row.correlation_id, ())) != {row.state}}
