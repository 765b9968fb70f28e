from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from ops.simulator.limits import Admission, ConcurrencyLimiter, HealthLimiter

NOW, LATER, REFUSED = Admission.NOW, Admission.LATER, Admission.REFUSED


def test_calls_run_then_queue_then_are_refused() -> None:
    limiter: ConcurrencyLimiter[int] = ConcurrencyLimiter()

    admissions = Counter(limiter.enter(caller) for caller in range(1400))

    assert admissions == {NOW: 800, LATER: 500, REFUSED: 100}


def test_the_call_that_waits_longest_runs_when_another_ends() -> None:
    limiter: ConcurrencyLimiter[str] = ConcurrencyLimiter(running_max=1, queued_max=2)
    assert [limiter.enter(caller) for caller in "abcd"] == [NOW, LATER, LATER, REFUSED]

    assert limiter.leave() == "b"
    assert limiter.enter("e") is LATER
    assert limiter.leave() == "c"
    assert limiter.leave() == "e"
    assert limiter.leave() is None
    assert limiter.enter("f") is NOW


@given(st.lists(st.booleans()))
def test_never_more_run_or_wait_than_allowed(arrivals: list[bool]) -> None:
    limiter: ConcurrencyLimiter[int] = ConcurrencyLimiter(running_max=2, queued_max=3)
    running = waiting = 0
    for caller, arrives in enumerate(arrivals):
        if arrives:
            admission = limiter.enter(caller)
            running += admission is NOW
            waiting += admission is LATER
            assert (admission is REFUSED) <= (running == 2 and waiting == 3)
        elif running:
            if limiter.leave() is None:
                running -= 1
            else:
                waiting -= 1
        assert running <= 2
        assert waiting <= 3
        assert running == 2 or not waiting


def test_one_health_call_is_answered_two_wait_and_later_ones_are_refused() -> None:
    limiter: HealthLimiter[str] = HealthLimiter(started_at_s=100.0)

    assert [limiter.arrive(caller, 101.0) for caller in "abcd"] == [NOW, LATER, LATER, REFUSED]


def test_those_who_wait_are_answered_in_order_one_window_each() -> None:
    limiter: HealthLimiter[str] = HealthLimiter(started_at_s=100.0)
    for caller in "abc":
        limiter.arrive(caller, 104.9)

    assert limiter.release(104.99) is None
    assert limiter.release(105.0) == "b"
    assert limiter.release(109.99) is None
    assert limiter.release(110.0) == "c"
    assert limiter.release(115.0) is None


def test_windows_are_fixed_and_not_counted_from_the_last_call() -> None:
    limiter: HealthLimiter[str] = HealthLimiter(started_at_s=100.0)

    assert limiter.arrive("a", 104.9) is NOW
    assert limiter.arrive("b", 105.1) is NOW


def test_nobody_overtakes_those_who_wait() -> None:
    limiter: HealthLimiter[str] = HealthLimiter(started_at_s=100.0)
    limiter.arrive("a", 101.0)
    limiter.arrive("b", 102.0)

    assert limiter.arrive("c", 105.0) is LATER
    assert limiter.release(105.0) == "b"


def test_a_caller_that_hangs_up_makes_room_for_another() -> None:
    limiter: HealthLimiter[str] = HealthLimiter(started_at_s=100.0)
    for caller in "abc":
        limiter.arrive(caller, 101.0)

    limiter.cancel("b")
    limiter.cancel("b")

    assert limiter.arrive("d", 102.0) is LATER
    assert limiter.release(105.0) == "c"
    assert limiter.release(110.0) == "d"


def test_the_wait_lasts_until_the_next_window() -> None:
    limiter: HealthLimiter[str] = HealthLimiter(started_at_s=100.0)
    assert limiter.wait_s(100.0) is None
    limiter.arrive("a", 101.0)
    assert limiter.wait_s(101.0) is None
    limiter.arrive("b", 102.0)

    assert limiter.wait_s(102.0) == 3.0
    assert limiter.wait_s(106.0) == 0.0


@given(st.lists(st.tuples(st.floats(0, 4), st.sampled_from(["arrive", "release", "hang up"]))))
def test_no_window_answers_twice(steps: list[tuple[float, str]]) -> None:
    limiter: HealthLimiter[int] = HealthLimiter(started_at_s=0.0)
    now_s = 0.0
    answers: Counter[int] = Counter()
    waiting: list[int] = []
    for caller, (pause_s, step) in enumerate(steps):
        now_s += pause_s
        match step:
            case "arrive":
                admission = limiter.arrive(caller, now_s)
                answers[int(now_s // 5)] += admission is NOW
                if admission is LATER:
                    waiting.append(caller)
                assert (admission is REFUSED) == (len(waiting) == 2 and caller not in waiting)
            case "release":
                released = limiter.release(now_s)
                answers[int(now_s // 5)] += released is not None
                if released is not None:
                    assert released == waiting.pop(0)
            case "hang up" if waiting:
                limiter.cancel(waiting.pop())
        assert len(waiting) <= 2
    assert all(number <= 1 for number in answers.values())
