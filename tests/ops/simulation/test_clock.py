"""Virtual time passes in order, and waiting costs none of the real one."""

from weakref import ref

import pytest

from ops.simulation.clock import NOW_MS, Clock, Reply, SimulatedRuntime


@pytest.fixture
def clock() -> Clock:
    return Clock()


def make_runtime(clock: Clock, *, by_hand: bool = False) -> SimulatedRuntime:
    return SimulatedRuntime(clock, system_ms=clock.now_ms, by_hand=by_hand, after_step=lambda: None)


def test_what_is_due_happens_in_the_order_of_time_and_of_asking(clock: Clock) -> None:
    happened: list[str] = []
    clock.call_later(2, happened.append, "late")
    clock.call_later(1, happened.append, "first")
    clock.call_later(1, happened.append, "second")
    clock.call_later(9, happened.append, "never")
    clock.run(5)
    assert happened == ["first", "second", "late"]
    assert clock.time() == 5
    assert clock.now_ms() == NOW_MS + 5000


def test_who_sleeps_goes_on_when_it_is_time_while_others_run(clock: Clock) -> None:
    runtime, happened = make_runtime(clock), list[tuple[str, float]]()

    def sleeper() -> None:
        runtime.sleep(2)
        runtime.sleep(1)
        happened.append(("slept", clock.time()))

    runtime.spawn(sleeper)
    runtime.call_later(1, lambda: happened.append(("called", clock.time())))
    clock.run(5)
    assert happened == [("called", 1), ("slept", 3)]


def test_a_reply_ends_the_wait_for_it(clock: Clock) -> None:
    runtime, happened = make_runtime(clock), list[tuple[str | None, float]]()
    reply = Reply[str](runtime)
    runtime.spawn(lambda: happened.append((reply.wait(5), clock.time())))
    clock.call_later(1, reply.give, "yes")
    clock.call_later(2, reply.give, "too late")
    clock.run(9)
    assert happened == [("yes", 1)]


def test_nobody_waits_for_a_reply_longer_than_its_time(clock: Clock) -> None:
    runtime, happened = make_runtime(clock), list[tuple[str | None, float]]()
    reply = Reply[str](runtime)
    runtime.spawn(lambda: happened.append((reply.wait(5), clock.time())))
    clock.call_later(6, reply.give, "too late")
    clock.run(9)
    assert happened == [(None, 5)]


def test_a_process_that_stood_still_catches_up(clock: Clock) -> None:
    runtime, happened = make_runtime(clock), list[float]()

    def sleeper() -> None:
        runtime.sleep(1)
        happened.append(clock.time())

    runtime.spawn(sleeper)
    clock.run(0.5)
    runtime.pause()
    clock.run(3)
    assert happened == []
    runtime.resume()
    clock.run(4)
    assert happened == [3]


def test_nothing_of_a_process_that_has_ended_runs(clock: Clock) -> None:
    runtime, happened = make_runtime(clock), list[str]()

    def sleeper() -> None:
        runtime.sleep(1)
        happened.append("slept")

    runtime.spawn(sleeper)
    runtime.call_later(1, happened.append, "called")
    clock.run(0.5)
    runtime.end()
    clock.run(9)
    assert happened == []


def test_by_hand_what_is_spawned_waits_for_the_test(clock: Clock) -> None:
    runtime, happened = make_runtime(clock, by_hand=True), list[str]()
    runtime.spawn(happened.append, "first")
    runtime.spawn(happened.append, "second")
    clock.run(9)
    assert happened == []
    runtime.run_under_way(1)
    assert happened == ["second"]


def test_an_error_comes_out_of_the_clock(clock: Clock) -> None:
    def fail() -> None:
        raise ValueError("planted")

    clock.call_later(1, fail)
    with pytest.raises(ValueError, match="planted"):
        clock.run(5)


class Held:
    """Something that a call refers to."""


def test_a_clock_that_is_closed_holds_on_to_nothing(clock: Clock) -> None:
    runtime, held = make_runtime(clock), [Held() for _ in range(3)]
    references = [ref(each) for each in held]

    def wait(_: Held, duration_s: float) -> None:
        runtime.sleep(duration_s)

    runtime.spawn(wait, held[0], 1)
    runtime.spawn(wait, held[1], 9)
    runtime.call_later(9, wait, held[2], 0)
    held.clear()
    clock.run(5)
    assert None not in [each() for each in references]
    clock.close()
    assert [each() for each in references] == [None, None, None]
    clock.run(20)
