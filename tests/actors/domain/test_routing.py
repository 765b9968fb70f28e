"""A payment that is free goes to the cheapest processor that takes charges."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.domain.breaker import BreakerState
from actors.domain.processors import Processor
from actors.domain.routing import ProcessorView, by_cost, choose

DEFAULT = Processor("default", "http://d", Decimal("0.05"))
FALLBACK = Processor("fallback", "http://f", Decimal("0.15"))
TWIN = Processor("twin", "http://t", Decimal("0.05"))


@pytest.mark.parametrize(
    ("state", "permits", "expected"),
    [
        (BreakerState.CLOSED, None, True),
        (BreakerState.CLOSED, 3, True),
        (BreakerState.CLOSED, 0, False),
        (BreakerState.HALF_OPEN, 1, True),
        (BreakerState.HALF_OPEN, 0, False),
        (BreakerState.OPEN, None, False),
        (BreakerState.OPEN, 0, False),
        (BreakerState.OPEN, 1, False),
    ],
)
def test_a_processor_takes_charges_while_it_is_not_open_and_has_permits(
    state: BreakerState,
    permits: int | None,
    expected: bool,  # noqa: FBT001  # a column of the table
) -> None:
    assert ProcessorView(state, permits).takes_charges is expected


def test_a_charge_uses_one_permit_up() -> None:
    view = ProcessorView(BreakerState.HALF_OPEN, 2)
    seen = []
    for _ in range(4):
        seen.append(view.permits)
        view.charge_sent()
    assert seen == [2, 1, 0, 0]


def test_permits_without_number_are_not_used_up() -> None:
    view = ProcessorView()
    view.charge_sent()
    assert view.permits is None


def test_the_cheapest_comes_first_and_equal_fees_stay_as_listed() -> None:
    assert by_cost([FALLBACK, TWIN, DEFAULT]) == (TWIN, DEFAULT, FALLBACK)
    assert by_cost([FALLBACK, DEFAULT, TWIN]) == (DEFAULT, TWIN, FALLBACK)


def test_nobody_is_chosen_where_nobody_takes_charges() -> None:
    assert choose([DEFAULT], {"default": ProcessorView(BreakerState.OPEN)}) is None


views = st.builds(ProcessorView, st.sampled_from(BreakerState), st.sampled_from([None, 0, 1, 5]))
fleets = st.lists(st.tuples(st.decimals(0, 1, places=2), views), min_size=1, max_size=6)


@settings(deadline=None)
@given(fleets)
def test_none_that_takes_charges_is_cheaper_than_the_chosen(fleet: list[tuple[Decimal, ProcessorView]]) -> None:
    processors = [Processor(f"p{number}", "http://h", fee) for number, (fee, _) in enumerate(fleet)]
    by_name = {f"p{number}": view for number, (_, view) in enumerate(fleet)}
    taking = [processor for processor in processors if by_name[processor.name].takes_charges]
    expected = min(taking, key=lambda processor: processor.fee).name if taking else None
    assert choose(by_cost(processors), by_name) == expected
