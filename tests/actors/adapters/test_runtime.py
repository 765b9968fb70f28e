"""Time runs forwards, and what is spawned or set for later runs once."""

import time

import gevent
import pytest
from gevent.event import Event
from gevent.queue import Queue
from greenlet import greenlet

from actors.adapters.runtime import SAMPLING_S_MAX, STANDING_MAX, GeventRuntime

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
    assert instants_ms == sorted(instants_ms)
    assert before_ms - 1 <= instants_ms[0] <= instants_ms[-1] <= after_ms + 1


class System:
    """A system whose clock a test steps, and that may stand still before it is read."""

    def __init__(self) -> None:
        self.ahead_s = self.stands_s = 0.0

    def now_s(self) -> float:
        until_s = time.monotonic() + self.stands_s
        while time.monotonic() < until_s:
            pass
        return time.time() + self.ahead_s


def test_a_step_of_the_systems_clock_is_not_followed_blindly() -> None:
    system = System()
    runtime = GeventRuntime(system.now_s)
    runtime.clock.join(0)
    before_ms = runtime.now_ms()
    system.ahead_s = 3600.0
    runtime.sample_clock()
    assert runtime.now_ms() - before_ms < 60_000
    assert runtime.clock.trouble is not None
    system.ahead_s = 0.0
    runtime.sample_clock()
    assert runtime.clock.trouble is None


def test_a_sample_that_took_long_says_nothing() -> None:
    system = System()
    runtime = GeventRuntime(system.now_s)
    runtime.clock.join(0)
    system.ahead_s, system.stands_s = 3600.0, 2 * SAMPLING_S_MAX
    runtime.sample_clock()
    assert runtime.clock.trouble is None


def test_a_spawned_function_runs_beside_the_caller_with_its_arguments() -> None:
    done: Queue[tuple[object, ...]] = Queue()
    GeventRuntime().spawn(lambda *args: done.put(args), 1, "two")
    assert done.empty()
    assert done.get(timeout=DEADLINE_S) == (1, "two")


def test_functions_that_wait_do_not_hold_up_one_another() -> None:
    runtime, go_on = GeventRuntime(), Event()
    started: Queue[int] = Queue()

    def wait(number: int) -> None:
        started.put(number)
        go_on.wait(DEADLINE_S)

    for number in range(STANDING_MAX + 10):
        runtime.spawn(wait, number)
    numbers = [started.get(timeout=DEADLINE_S) for _ in range(STANDING_MAX + 10)]
    assert numbers == list(range(STANDING_MAX + 10))
    go_on.set()


def test_functions_one_after_another_run_in_one_standing_greenlet() -> None:
    runtime = GeventRuntime()
    ran_in: Queue[greenlet] = Queue()
    greenlets = set()
    for _ in range(10):
        runtime.spawn(lambda: ran_in.put(gevent.getcurrent()))
        greenlets.add(ran_in.get(timeout=DEADLINE_S))
        gevent.idle()  # The greenlet waits for the next function then.
    assert len(greenlets) == 1


def test_functions_that_are_spawned_together_each_have_a_greenlet_also_where_some_stand_by() -> None:
    runtime = GeventRuntime()
    for functions in (2, 5):
        waiting: list[greenlet] = []
        go_on, all_wait = Event(), Event()

        def wait(functions: int, waiting: list[greenlet], go_on: Event, all_wait: Event) -> None:
            waiting.append(gevent.getcurrent())
            if len(waiting) == functions:
                all_wait.set()
            go_on.wait(DEADLINE_S)

        for _ in range(functions):
            runtime.spawn(wait, functions, waiting, go_on, all_wait)
        assert all_wait.wait(DEADLINE_S)
        assert len(set(waiting)) == functions
        go_on.set()
        gevent.idle()


def test_of_many_greenlets_a_bounded_number_stands_by() -> None:
    runtime, go_on = GeventRuntime(), Event()
    ran_in: Queue[greenlet] = Queue()

    def wait() -> None:
        ran_in.put(gevent.getcurrent())
        go_on.wait(DEADLINE_S)

    for _ in range(2 * STANDING_MAX):
        runtime.spawn(wait)
    greenlets = [ran_in.get(timeout=DEADLINE_S) for _ in range(2 * STANDING_MAX)]
    go_on.set()
    gevent.idle()
    assert sum(not each.dead for each in greenlets) == STANDING_MAX


def test_an_error_of_a_function_is_shown_and_does_not_end_the_greenlet(capsys: pytest.CaptureFixture[str]) -> None:
    runtime = GeventRuntime()
    ran_in: Queue[greenlet] = Queue()

    def fail() -> None:
        ran_in.put(gevent.getcurrent())
        raise ValueError("planted")

    runtime.spawn(fail)
    first = ran_in.get(timeout=DEADLINE_S)
    gevent.idle()
    runtime.spawn(lambda: ran_in.put(gevent.getcurrent()))
    assert ran_in.get(timeout=DEADLINE_S) is first
    assert "ValueError: planted" in capsys.readouterr().err


def test_a_timeout_that_leaks_out_of_a_function_leaves_others_running(capsys: pytest.CaptureFixture[str]) -> None:
    runtime = GeventRuntime()
    done: Queue[str] = Queue()

    def leak() -> None:
        raise gevent.Timeout(0)

    runtime.spawn(leak)
    runtime.spawn(done.put, "other")
    assert done.get(timeout=DEADLINE_S) == "other"
    gevent.idle()
    runtime.spawn(done.put, "later")
    assert done.get(timeout=DEADLINE_S) == "later"
    assert "Timeout" in capsys.readouterr().err


def test_what_is_set_for_later_runs_once_in_the_event_loop() -> None:
    ran_in: Queue[object] = Queue()
    GeventRuntime().call_later(0.0, lambda: ran_in.put(gevent.getcurrent()))
    assert ran_in.get(timeout=DEADLINE_S) is gevent.get_hub()
    gevent.idle()
    assert ran_in.empty()


def test_an_error_of_what_is_set_for_later_is_shown_and_stops_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    runtime = GeventRuntime()
    done: Queue[str] = Queue()
    runtime.call_later(0.0, int, "planted")
    runtime.call_later(0.001, done.put, "due")
    assert done.get(timeout=DEADLINE_S) == "due"
    assert "ValueError" in capsys.readouterr().err


def test_what_is_set_for_later_runs_beside_the_caller() -> None:
    done: Queue[str] = Queue()
    GeventRuntime().call_later(0.01, done.put, "due")
    assert done.empty()
    assert done.get(timeout=DEADLINE_S) == "due"


def test_a_delay_that_is_over_already_is_none() -> None:
    called = Event()
    GeventRuntime().call_later(-1.0, called.set)
    assert called.wait(DEADLINE_S)
