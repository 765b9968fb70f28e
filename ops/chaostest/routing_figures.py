"""Works out how well the payments of a run were routed: the fees paid, and how fast breakers followed outages."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from statistics import median
from typing import Any

from ops.chaostest.history import ProcessorTotals
from ops.chaostest.schedule import ScheduledFault

LATE_S = 5.0
"""A breaker that changes later than this after the start or end of an outage is assumed to have another reason."""


@dataclass(frozen=True, slots=True)
class BreakerChange:
    """One change of state of one replica's breaker for one processor."""

    at_s: float
    """Seconds since the start of the load."""
    replica: str
    processor: str
    before: str
    after: str
    cause: str


def fee_figures(totals: Sequence[ProcessorTotals]) -> dict[str, float]:
    """Compare the fees that were paid with what they would be if the cheapest processor had charged everything."""
    paid = sum((each.total_fee for each in totals), Decimal(0))
    cheapest = min((each.fee for each in totals), default=Decimal(0))
    best = cheapest * sum((each.amount for each in totals), Decimal(0))
    return {"paid": float(paid), "best": float(best), "ratio": round(float(paid / best), 3) if best else 0.0}


def breaker_figures(schedule: Sequence[ScheduledFault], changes: Sequence[BreakerChange]) -> dict[str, object]:
    """Compare the changes of all breakers with the scheduled outages, in which a processor failed every call.

    `opened_without_outage` counts openings while a processor failed only some of its calls, or none.
    """
    outages = [fault for fault in schedule if fault.parameters.get("failureRate", 0) >= 1]
    openings = [each for each in changes if (each.before, each.after) == ("closed", "open")]
    closings = [each for each in changes if each.after == "closed"]
    to_open = list(_delays(openings, [(outage.target, outage.at_s) for outage in outages]))
    to_close = list(_delays(closings, [(outage.target, outage.ends_at_s) for outage in outages]))
    probes = sum(each.before == "half-open" for each in changes)
    stray = [each for each in openings if not any(_belongs(each, outage) for outage in outages)]
    return {
        "outages": len(outages),
        "time_to_open_s": _spread(to_open),
        "time_to_close_s": _spread(to_close),
        "probes_per_recovery": round(probes / len(to_close), 1) if to_close else None,
        "opened_without_outage": len(stray),
    }


def read_changes(replica: str, processors: Mapping[str, Any], began_ms: int) -> Iterator[BreakerChange]:
    """Read the changes of breakers from the answer of a replica to `GET /processors`."""
    for name, processor in processors.items():
        for change in processor["breaker"]["changes"]:
            at_s = datetime.fromisoformat(change["at"]).timestamp() - began_ms / 1000
            yield BreakerChange(at_s, replica, name, change["from"], change["to"], change["cause"])


def _delays(changes: Sequence[BreakerChange], instants: Sequence[tuple[str, float]]) -> Iterator[float]:
    """Yield the time from each instant to the first change afterwards, for each replica that changed in time."""
    for processor, instant_s in instants:
        for replica in sorted({each.replica for each in changes}):
            mine = (each.at_s for each in changes if (each.replica, each.processor) == (replica, processor))
            delays_s = [at_s - instant_s for at_s in mine if 0 <= at_s - instant_s <= LATE_S]
            if delays_s:
                yield min(delays_s)


def _belongs(opening: BreakerChange, outage: ScheduledFault) -> bool:
    return opening.processor == outage.target and outage.at_s <= opening.at_s <= outage.ends_at_s + LATE_S


def _spread(seconds: Sequence[float]) -> dict[str, float] | None:
    if not seconds:
        return None
    return {"median": round(median(seconds), 3), "worst": round(max(seconds), 3)}
