"""A cheaper processor is waited for in proportion to what that saves."""

from math import inf

import pytest

from actors.domain.breaker import BreakerState
from actors.domain.patience import Patience
from actors.domain.processor_view import ProcessorView

PATIENCE = Patience(outage_s=10, outage_backlog_s=2, probe_s=4, return_s=0.5)
DOWN_SINCE_S = 1000.0


def down(saving: float = 0.1) -> ProcessorView:
    return ProcessorView(BreakerState.OPEN, down_since_s=DOWN_SINCE_S, saving=saving)


def test_an_outage_is_waited_out_from_its_start_the_longer_the_more_it_saves() -> None:
    assert PATIENCE.outage_ends_s(down()) == DOWN_SINCE_S + 10
    assert PATIENCE.outage_ends_s(down(saving=0.05)) == DOWN_SINCE_S + 5
    assert PATIENCE.outage_ends_s(down(saving=0)) == DOWN_SINCE_S
    assert PATIENCE.outage_ends_s(ProcessorView()) == inf


def test_as_many_may_wait_as_a_dearer_one_that_works_can_charge_soon() -> None:
    dearer = ProcessorView(capacity_per_s=100)
    assert PATIENCE.outage_backlog_max(down(), dearer) == 200
    assert PATIENCE.outage_backlog_max(down(saving=0.2), dearer) == 400
    dearer.state = BreakerState.HALF_OPEN
    assert PATIENCE.outage_backlog_max(down(), dearer) == 0


def test_a_probe_is_waited_for_no_longer_than_an_outage() -> None:
    assert PATIENCE.probe_s_max(down()) == 4
    assert PATIENCE.probe_s_max(down(saving=0.05)) == 2
    assert Patience(outage_s=3, probe_s=4).probe_s_max(down()) == 3


@pytest.mark.parametrize(("outage_s", "return_s_max"), [(10, 4), (3, 3), (0, 0.5)])
def test_a_return_is_waited_for_as_long_as_a_probe_but_always_a_moment(outage_s: float, return_s_max: float) -> None:
    assert Patience(outage_s, probe_s=4, return_s=0.5).return_s_max == return_s_max


def test_the_defaults_are_those_of_the_decision_on_routing() -> None:
    assert Patience() == Patience(11, 5, 1, 5, 0.5, 3)
