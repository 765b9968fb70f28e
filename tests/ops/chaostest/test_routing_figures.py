"""Fees and breakers are compared with the best fees and with the scheduled outages."""

from decimal import Decimal

import pytest

from ops.chaostest.history import ProcessorTotals
from ops.chaostest.routing_figures import BreakerChange, breaker_figures, fee_figures, read_changes
from ops.chaostest.schedule import ScheduledFault

OUTAGE = ScheduledFault(10, "failures", "default", 20, {"failureRate": 1.0})
FORTY = ScheduledFault(50, "failures", "default", 20, {"failureRate": 0.4})


def opened(at_s: float, replica: str = "1", processor: str = "default") -> BreakerChange:
    return BreakerChange(at_s, replica, processor, "closed", "open", "failure rate")


def probed(at_s: float, replica: str = "1", *, closes: bool = False) -> BreakerChange:
    return BreakerChange(at_s, replica, "default", "half-open", "closed" if closes else "open", "a probe")


def test_fees_are_compared_with_those_of_the_cheapest_processor() -> None:
    totals = [
        ProcessorTotals("default", Decimal("0.05"), 3, Decimal(300), Decimal(15)),
        ProcessorTotals("fallback", Decimal("0.15"), 1, Decimal(100), Decimal(15)),
    ]
    assert fee_figures(totals) == {"paid": 30.0, "best": 20.0, "ratio": 1.5}
    assert fee_figures([]) == {"paid": 0.0, "best": 0.0, "ratio": 0.0}


def test_times_are_measured_for_each_replica_from_start_and_end_of_an_outage() -> None:
    changes = [opened(10.5), opened(11.0, "2"), probed(11.5), probed(12.0), probed(30.2, closes=True)]
    changes += [probed(30.4, "2", closes=True)]
    assert breaker_figures([OUTAGE, FORTY], changes) == {
        "outages": 1,
        "time_to_open_s": {"median": pytest.approx(0.75), "worst": pytest.approx(1.0)},
        "time_to_close_s": {"median": pytest.approx(0.3), "worst": pytest.approx(0.4)},
        "probes_per_recovery": 2.0,
        "opened_without_outage": 0,
    }


def test_an_opening_without_an_outage_is_counted_apart() -> None:
    figures = breaker_figures([OUTAGE, FORTY], [opened(55.0), opened(12.0, processor="fallback")])
    assert (figures["opened_without_outage"], figures["time_to_open_s"]) == (2, None)


def test_changes_are_timed_from_the_start_of_the_load() -> None:
    change = {"at": "2025-07-15T12:00:01.500Z", "from": "closed", "to": "open", "cause": "failure rate"}
    answer = {"default": {"breaker": {"state": "open", "changes": [change]}}, "fallback": {"breaker": {"changes": []}}}
    assert list(read_changes("1", answer, began_ms=1_752_580_800_000)) == [opened(1.5)]
