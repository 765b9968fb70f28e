from hypothesis import given
from hypothesis import strategies as st

from actors.timer import Timer
from tests.actors.fakes import VirtualRuntime


class Alarm:
    """A timer and who is told by it, who wants to be told at each of `wanted_s`, and sets only the next."""

    def __init__(self) -> None:
        self.runtime = VirtualRuntime()
        self.told_at_s: list[float] = []
        self.wanted_s: list[float] = []
        self.timer = Timer(self.runtime, self._told, "due")

    def want(self, due_s: float) -> None:
        self.wanted_s.append(due_s)
        self._set()

    def _told(self, message: object) -> None:
        assert message == "due"
        self.told_at_s.append(self.runtime.now_s())
        self.timer.fired()
        self.wanted_s = [due_s for due_s in self.wanted_s if due_s > self.runtime.now_s()]
        self._set()

    def _set(self) -> None:
        self.timer.set(min(self.wanted_s, default=None))


def test_the_message_is_told_once_and_at_its_time() -> None:
    alarm = Alarm()
    alarm.want(1005.0)
    alarm.runtime.advance(4.9)
    assert alarm.told_at_s == []
    alarm.runtime.advance(10.0)
    assert alarm.told_at_s == [1005.0]


def test_none_sets_no_time() -> None:
    alarm = Alarm()
    alarm.timer.set(None)
    assert alarm.runtime.timers == []


def test_a_time_that_has_passed_is_due_now() -> None:
    alarm = Alarm()
    alarm.want(900.0)
    alarm.runtime.advance(0.0)
    assert alarm.told_at_s == [1000.0]


def test_an_earlier_time_comes_first_and_the_later_one_is_not_set_twice() -> None:
    alarm = Alarm()
    alarm.want(1005.0)
    alarm.want(1002.0)
    alarm.runtime.advance(2.0)
    assert (alarm.told_at_s, len(alarm.runtime.timers)) == ([1002.0], 1)
    alarm.runtime.advance(10.0)
    assert alarm.told_at_s == [1002.0, 1005.0]


@given(st.lists(st.tuples(st.integers(1, 20), st.integers(0, 5))))
def test_every_time_that_is_wanted_comes_and_none_comes_twice(wants: list[tuple[int, int]]) -> None:
    alarm, expected_s = Alarm(), set()
    for in_s, then_wait_s in wants:
        due_s = alarm.runtime.now_s() + in_s
        alarm.want(due_s)
        expected_s.add(due_s)
        alarm.runtime.advance(then_wait_s)
    alarm.runtime.advance(30.0)
    assert alarm.told_at_s == sorted(expected_s)
