"""Tells which charges were booked while a fault could keep their answer from the replica that asked for it. It is pure.

A summary may lack such charges until they are looked up, since only the processor knows of them (docs/reliability.md).
A processor assumes that its answer has arrived, even if a link, a host or a replica has failed on the way.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ops.chaostest.history import BookedCharge
from ops.chaostest.nemesis import InjectedFault
from ops.chaostest.schedule import ScheduledFault
from ops.clustertest.chaos_choices import OUTSIDE

ANSWER_MS_MAX = 2_000
"""How long after its end a fault still counts: a link then passes on what it has held, and answers are under way."""
CUT = "cut"
"""The kind of fault after which TCP may wait once more for as long as the link was cut, since it doubles its pauses.
Only then does a request arrive whose sender has long given it up."""
SKEW_MS_MAX = 1_000
"""By how much the clock that stamps a charge may be ahead. A charge that is sent after the end of a fault loses no
answer."""
OF_PROCESSES = {"kill", "pause", "wipe", "restart"}


def may_lose_answers(fault: ScheduledFault) -> bool:
    """Tell whether a fault disturbs a link to the processors, or a host or replica that waits for their answers."""
    _, _, part = fault.target.partition("/")
    is_of_replica = fault.fault in OF_PROCESSES and (not part or part.startswith("replica-"))
    return OUTSIDE in fault.target or is_of_replica


def without_lost_answers(
    charges: Iterable[BookedCharge], injected: Sequence[InjectedFault], began_ms: int
) -> tuple[BookedCharge, ...]:
    """Mark as unanswered the charges that were booked during such a fault.

    Args:
        charges: the charges that processors have booked.
        injected: all faults of the run.
        began_ms: the start of the load, from which the times of faults count; milliseconds since the epoch.
    """
    spans = [_span_ms(each, began_ms) for each in injected if may_lose_answers(each.fault)]

    def is_lost(charge: BookedCharge) -> bool:
        return any(
            begin_ms <= charge.booked_at_ms <= end_ms + late_ms
            and charge.requested_at_us <= (end_ms + SKEW_MS_MAX) * 1000
            for begin_ms, end_ms, late_ms in spans
        )

    return tuple(replace(each, answered=each.answered and not is_lost(each)) for each in charges)


def _span_ms(injected: InjectedFault, began_ms: int) -> tuple[float, float, float]:
    """Tell when a fault began and ended, and how long after that a charge may be booked whose answer it lost."""
    ended_s = injected.began_s if injected.ended_s is None else injected.ended_s
    cut_ms = (ended_s - injected.began_s) * 1000 if injected.fault.fault == CUT else 0.0
    return began_ms + injected.began_s * 1000, began_ms + ended_s * 1000, max(ANSWER_MS_MAX, cut_ms)
