"""The breaker's benchmark counts what can be counted by hand."""

from random import Random

import pytest

from actors.domain.breaker import Breaker
from actors.domain.breaker_limits import BreakerLimits
from ops.benchmarks.breaker import FiveInRow, ProductSwitch, Switch, count_opens, time_to_close, time_to_open


@pytest.fixture
def chance() -> Random:
    return Random(1)


def test_five_failures_in_a_row_open_the_baseline(chance: Random) -> None:
    switch = FiveInRow(chance)
    call = switch.start(0.0)
    outcomes = [False] * 4 + [True] + [False] * 10
    opened = [switch.end(call, succeeded=succeeded, now_s=1.0) for succeeded in outcomes]
    assert [number for number, one in enumerate(opened) if one] == [9, 14]


@pytest.mark.parametrize("make", [FiveInRow, ProductSwitch])
def test_nothing_opens_without_failures(make: type[FiveInRow | ProductSwitch], chance: Random) -> None:
    assert count_opens(make(chance), 0.0, 60, 2000, chance) == 0


def test_the_baseline_opens_as_often_as_five_failures_follow_each_other(chance: Random) -> None:
    calls, rate = 100_000, 0.4
    expected = calls * (1 - rate) * rate**5 / (1 - rate**5)
    assert count_opens(FiveInRow(chance), rate, 60, calls, chance) == pytest.approx(expected, rel=0.15)


def test_the_products_breaker_opens_where_every_call_fails(chance: Random) -> None:
    assert count_opens(ProductSwitch(chance), 1.0, 60, 200, chance) >= 1


@pytest.mark.parametrize("make", [FiveInRow, ProductSwitch])
def test_an_outage_is_noticed_after_it_began(make: type[FiveInRow | ProductSwitch], chance: Random) -> None:
    switch: Switch = make(chance)
    open_s = time_to_open(switch, 5.0, 60, chance)
    assert open_s is not None
    assert 0 < open_s < BreakerLimits().window_s + 0.2


def test_an_outage_that_no_call_meets_is_never_noticed(chance: Random) -> None:
    assert time_to_open(ProductSwitch(chance), 5.0, 0.01, chance) is None


def test_the_first_probe_after_an_outage_closes(chance: Random) -> None:
    breaker = Breaker(BreakerLimits(), chance)
    breaker.quorum_found_down(0.0)
    close_s, before, after = time_to_close(breaker, 0.0, 6.0, chance)
    assert 0 <= close_s < 2 * BreakerLimits().cooldown_s_max
    assert 6 <= before <= 20
    assert after <= 1
