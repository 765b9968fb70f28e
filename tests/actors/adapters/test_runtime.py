"""Time runs forwards, and what is spawned or set for later runs once."""

import time

from gevent.event import Event
from gevent.queue import Queue

from actors.adapters.runtime import GeventRuntime

DEADLINE_S = 20


def test_monotonic_time_never_runs_backwards() -> None:
    runtime = GeventRuntime()
    instants_s = [runtime.now_s() for _ in range(1000)]
    assert instants_s == sorted(instants_s)


def test_the_wall_clock_is_in_milliseconds_and_never_runs_backwards() -> None:
    runtime = GeventRuntime()
    before_ms = time.time_ns() // 1_000_000
    instants_ms = [runtime.now_ms() for _ in range(1000)]
    after_ms = time.time_ns() // 1_000_000
    assert [before_ms, *instants_ms, after_ms] == sorted([before_ms, *instants_ms, after_ms])


def test_a_spawned_function_runs_beside_the_caller_with_its_arguments() -> None:
    done: Queue[tuple[object, ...]] = Queue()
    GeventRuntime().spawn(lambda *args: done.put(args), 1, "two")
    assert done.empty()
    assert done.get(timeout=DEADLINE_S) == (1, "two")


def test_what_is_set_for_later_runs_once_and_beside_the_caller() -> None:
    done: Queue[str] = Queue()
    GeventRuntime().call_later(0.01, done.put, "due")
    assert done.empty()
    assert done.get(timeout=DEADLINE_S) == "due"


def test_a_delay_that_is_over_already_is_none() -> None:
    called = Event()
    GeventRuntime().call_later(-1.0, called.set)
    assert called.wait(DEADLINE_S)
