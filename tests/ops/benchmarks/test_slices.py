from typing import Any

import gevent
import greenlet
import pytest

from actors.timer import Timer
from ops.benchmarks import slices
from ops.benchmarks.slices import LongSlices, Seen, percentiles_ms, summarise
from ops.benchmarks.traced_gateway import HUB, OTHER, Observer, Totals, kind_of, place_of


class Clocks:
    def __init__(self) -> None:
        self.wall_s = 0.0
        self.cpu_s = 0.0

    def advance(self, wall_s: float, cpu_s: float) -> None:
        self.wall_s += wall_s
        self.cpu_s += cpu_s

    def observer(self, over_s: float = 1.0) -> Observer:
        return Observer(over_s, lambda: self.wall_s, lambda: self.cpu_s)


def test_a_slice_counts_for_the_greenlet_that_gave_up_the_loop() -> None:
    clocks = Clocks()
    observer, ended, other = clocks.observer(), greenlet.greenlet(), greenlet.greenlet()
    for wall_s, cpu_s in ((0.5, 0.25), (2.0, 0.5)):
        clocks.advance(wall_s, cpu_s)
        observer.switched("switch", (ended, other))
    assert dict(observer.by_kind) == {OTHER: Totals(2, 2.5, 0.75, 2.0)}
    assert dict(observer.long) == {(OTHER, "-"): Totals(1, 2.0, 0.5, 2.0)}


def test_the_loops_own_wait_is_no_long_slice() -> None:
    clocks = Clocks()
    observer, hub = clocks.observer(), gevent.get_hub()
    clocks.advance(5.0, 0.1)
    observer.switched("switch", (hub, greenlet.greenlet()))
    assert kind_of(hub) == HUB
    assert not observer.long


def test_what_was_observed_is_forgotten() -> None:
    clocks = Clocks()
    observer = clocks.observer()
    clocks.advance(2.0, 2.0)
    observer.switched("switch", (greenlet.greenlet(), greenlet.greenlet()))
    observer.timed("a call", lambda: None)()
    observer.forget()
    assert observer.told() == {"durations_s": {}, "by_kind": {}, "long": []}


def test_a_call_and_a_garbage_collection_are_timed() -> None:
    clocks = Clocks()
    observer = clocks.observer()
    observer.timed("a call", clocks.advance)(0.5, 0.0)
    observer.collected("start", {"generation": 2})
    clocks.advance(0.25, 0.0)
    observer.collected("stop", {"generation": 2})
    assert observer.durations_s == {"a call": [0.5], "garbage collection 2": [0.25]}


def test_a_place_is_the_innermost_function_of_the_gateway() -> None:
    parent = greenlet.getcurrent()

    class Runtime:
        def now_s(self) -> float:
            return 0.0

        def call_later(self, *_: object) -> None:
            parent.switch()

    traced = greenlet.greenlet(lambda: Timer(Runtime(), lambda _: None, None).set(1.0))  # type: ignore[arg-type]
    traced.switch()
    assert place_of(traced.gr_frame) == "actors/timer.py:Timer.set"
    traced.switch()
    assert place_of(traced.gr_frame) == "-"


def test_percentiles_are_in_milliseconds() -> None:
    assert percentiles_ms([number / 1000 for number in range(1001)]) == {
        "count": 1001,
        "p50": 500.0,
        "p90": 900.0,
        "p99": 990.0,
        "p999": 999.0,
        "max": 1000.0,
    }
    assert percentiles_ms([0.002])["p99"] == 2.0


def test_replicas_are_added_up_for_each_payment() -> None:
    one = Seen({"answered": [0.001, 0.003]}, {"HTTP": Totals(4, 0.4, 0.2)}, [LongSlices(1, 0.2, 0.1, 0.2, "HTTP", "f")])
    longer = [LongSlices(2, 0.5, 0.1, 0.4, "HTTP", "f"), LongSlices(1, 1.0, 0.0, 1.0, "x", "g")]
    other = Seen({"answered": [0.002]}, {"HTTP": Totals(2, 0.2, 0.1)}, longer)
    figures = summarise([one, other], payments=3)
    assert figures["durations_ms"]["answered"]["count"] == 3
    assert figures["durations_ms"]["answered"]["p50"] == 2.0
    assert figures["slices"] == {
        "HTTP": {"per_payment": 2.0, "cpu_ms_per_payment": 100.0, "wall_ms_per_payment": 200.0}
    }
    assert [(each["kind"], each["count"], each["longest_ms"]) for each in figures["long_slices"]] == [
        ("x", 1, 1000.0),
        ("HTTP", 3, 400.0),
    ]


@pytest.mark.long
def test_a_gateway_is_observed_from_within() -> None:
    figures: dict[str, Any] = slices.run(["--rate", "20", "--seconds", "1", "--over-ms", "0.01"])
    payments = figures["payments"]
    assert payments == 60
    assert figures["durations_ms"]["answered"]["count"] == payments
    assert figures["durations_ms"]["journalled"]["count"] <= payments
    assert {"HTTP", "IntakeActor", "RouterActor", "PersistenceActor", "ProcessorActor", HUB} <= figures["slices"].keys()
    places = {each["function"] for each in figures["long_slices"] if each["kind"] == "IntakeActor"}
    assert "actors/inbox.py:BoundedInbox.get" in places
