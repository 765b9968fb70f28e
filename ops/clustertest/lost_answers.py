"""Tells which charges were booked while a fault could keep their answer from the replica that asked for it. It is pure.

A summary may lack such charges until they are looked up, since only the processor knows of them (docs/reliability.md).
A processor takes its answer for given, where a link, a host or a replica has failed behind it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ops.chaostest.history import BookedCharge
from ops.chaostest.nemesis import InjectedFault
from ops.chaostest.schedule import ScheduledFault
from ops.clustertest.chaos_choices import OUTSIDE

ANSWER_MS_MAX = 2_000
"""How long after its end a fault still counts: a link passes on then what it has held, and an answer is under way."""
CUT = "cut"
"""The fault after whose end TCP may wait once more for as long as the link was cut, since it doubles its pauses: only
then does a request arrive whose sender has long given it up."""
OF_PROCESSES = {"kill", "pause", "wipe"}


def may_lose_answers(fault: ScheduledFault) -> bool:
    """Tell whether it disturbs a link to the processors, or what waits for their answers: a host, or a replica."""
    _, _, part = fault.target.partition("/")
    is_of_replica = fault.fault in OF_PROCESSES and (not part or part.startswith("replica-"))
    return OUTSIDE in fault.target or is_of_replica


def without_lost_answers(
    charges: Iterable[BookedCharge], injected: Sequence[InjectedFault], began_ms: int
) -> tuple[BookedCharge, ...]:
    """Call those charges unanswered that were booked during such a fault.

    Args:
        charges: what the processors have booked.
        injected: all faults of the run.
        began_ms: the start of the load, from which the times of faults count; milliseconds since the epoch.
    """
    spans = [_span_s(each) for each in injected if may_lose_answers(each.fault)]

    def is_lost(charge: BookedCharge) -> bool:
        return any(begin_s * 1000 <= charge.booked_at_ms - began_ms <= end_s * 1000 for begin_s, end_s in spans)

    return tuple(replace(each, answered=each.answered and not is_lost(each)) for each in charges)


def _span_s(injected: InjectedFault) -> tuple[float, float]:
    """Tell from when to when a charge that is booked may miss its answer, both inclusive."""
    ended_s = injected.began_s if injected.ended_s is None else injected.ended_s
    waits_s = ended_s - injected.began_s if injected.fault.fault == CUT else 0.0
    return injected.began_s, ended_s + max(ANSWER_MS_MAX / 1000, waits_s)
