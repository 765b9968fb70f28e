"""A payment goes only to processors that take its currency, and one that has to wait for them holds up no others."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.domain.breaker import BreakerState
from actors.domain.dispatcher import DRIVEN_MAX, WANTED_MIN, WINDOW_MAX
from actors.domain.lifecycle import State
from actors.domain.outcome import Outcome
from actors.domain.payment import Claim, Move, Payment
from actors.domain.processors import Processor
from actors.domain.routing import Choice, Reason
from actors.domain.work import Work
from tests.actors.domain.dispatching import HORIZON_S, NOW_MS, Dispatching, ids, payment

REAIS = frozenset({"BRL"})
YEN = frozenset({"JPY"})
DEFAULT_IN_REAIS = (
    Processor("default", "http://d", Decimal("0.05"), REAIS),
    Processor("fallback", "http://f", Decimal("0.15"), REAIS | YEN),
)


def yen(number: int) -> Payment:
    return payment(number, 1990, "JPY")


def dinars(number: int) -> Payment:
    return payment(number, 1990, "KWD")


def accept(subject: Dispatching, *payments: Payment, behind: int = 0) -> Work:
    subject.dispatcher.accepted(payments, behind, subject.now_s)
    return subject.decide()


def test_a_payment_goes_to_the_cheapest_processor_that_takes_its_currency() -> None:
    subject = Dispatching(processors=DEFAULT_IN_REAIS)
    assert accept(subject, payment(1), yen(2)).claims == [Claim(payment(1), "default"), Claim(yen(2), "fallback")]
    assert subject.dispatcher.routes.decisions == {
        ("fallback", Reason.CHEAPEST): 1,
        ("default", Reason.CHEAPEST): 1,
    }


def test_what_waits_for_one_processor_holds_up_no_others() -> None:
    subject = Dispatching(outage_s=60, processors=DEFAULT_IN_REAIS)
    subject.announce("fallback", BreakerState.OPEN)
    assert accept(subject, yen(1), yen(2), payment(3)).claims == [Claim(payment(3), "default")]
    subject.announce("default", BreakerState.OPEN)
    subject.announce("fallback")
    assert accept(subject, payment(4), yen(5)).claims == [Claim(yen(number), "fallback") for number in (1, 2, 5)]


def test_queues_that_share_a_processor_are_served_in_the_order_of_arrival() -> None:
    subject = Dispatching(outage_s=60, processors=DEFAULT_IN_REAIS)
    subject.announce("fallback", takes=0)
    subject.announce("default", BreakerState.FORCED_OPEN)
    arrived = [
        Payment(each.correlation_id, each.amount_minor, NOW_MS + each.correlation_id.int, each.currency)
        for each in (payment(1), yen(2), payment(3), yen(4))
    ]
    accept(subject, *arrived)
    subject.announce("fallback", takes=3)
    assert [claim.payment for claim in subject.decide().claims] == arrived[:3]


def test_a_payment_whose_currency_no_processor_takes_is_held_and_counted_with_its_own_reason() -> None:
    subject = Dispatching(processors=DEFAULT_IN_REAIS)
    work = accept(subject, dinars(1), dinars(2), payment(3))
    assert work.claims == [Claim(payment(3), "default")]
    subject.advance(1000)
    assert subject.dispatcher.routes.decisions[None, Reason.WAIT_FOR_CURRENCY] == 2
    assert subject.dispatcher.counts()["held"] == 2


def test_only_choices_for_what_every_processor_takes_are_told() -> None:
    subject = Dispatching(processors=DEFAULT_IN_REAIS)
    assert accept(subject, yen(1), payment(2), dinars(3)).choices == [Choice("default", Reason.CHEAPEST)]


@pytest.mark.parametrize("state", [BreakerState.CLOSED, BreakerState.OPEN])
def test_an_adopted_payment_is_looked_up_and_never_charged_where_its_currency_is_not_taken(state: BreakerState) -> None:
    subject = Dispatching(processors=DEFAULT_IN_REAIS)
    subject.announce("default", state)
    work = subject.adopt(Claim(yen(1), "default"))
    assert (work.charges, work.look_ups) == ({}, {"default": [yen(1)]})
    subject.looked_up(1, None)
    work = subject.advance(5)
    while not work.moves:
        assert (work.charges, work.look_ups) == ({}, {"default": [yen(1)]})
        subject.advance(HORIZON_S)
        work = subject.looked_up(1, None)
    assert work.moves == [Move(ids(1)[0], "fallback", attempts=0, moves=1)]


def test_an_adopted_payment_that_was_charged_is_settled_whatever_its_processor_takes_now() -> None:
    subject = Dispatching(processors=DEFAULT_IN_REAIS)
    subject.adopt(Claim(yen(1), "default"))
    (settlement,) = subject.looked_up(1, NOW_MS + 5).settlements
    assert (settlement.processor, settlement.requested_at_ms) == ("default", NOW_MS + 5)


def test_a_payment_that_failed_too_often_stays_where_its_currency_is_taken() -> None:
    subject = Dispatching(processors=DEFAULT_IN_REAIS)
    accept(subject, yen(1))
    work = subject.claimed(1)
    for _ in range(8):
        assert (work.charges, work.moves) == ({"fallback": [yen(1)]}, [])
        subject.ended(Outcome.FAILED)
        work = subject.advance(10)


def test_an_id_in_another_currency_is_a_rival_until_its_row_is_decided() -> None:
    subject = Dispatching(processors=DEFAULT_IN_REAIS)
    accept(subject, payment(1))
    assert accept(subject, yen(1)).claims == []
    assert subject.claimed(1).claims == [Claim(yen(1), "default")]


def test_what_few_processors_take_leaves_room_for_others_up_to_a_bound() -> None:
    subject = Dispatching(outage_s=60, processors=DEFAULT_IN_REAIS)
    subject.announce("fallback", BreakerState.OPEN)
    wanted = accept(subject, *map(yen, range(WINDOW_MAX))).wanted
    given = WINDOW_MAX
    assert wanted == WINDOW_MAX
    while wanted:
        given += wanted
        wanted = accept(subject, *map(yen, range(given - wanted, given))).wanted
    assert DRIVEN_MAX - WANTED_MIN <= given <= DRIVEN_MAX


def test_rows_that_few_processors_take_are_counted_once_and_leave_new_payments_one_window() -> None:
    subject = Dispatching(outage_s=60, processors=DEFAULT_IN_REAIS)
    subject.announce("fallback", BreakerState.OPEN)
    rows = [Claim(yen(number), None) for number in range(5000, 5000 + WINDOW_MAX)]
    assert subject.adopt(*rows).wanted == 0, "the intake owes a window already"


any_currencies = st.sets(st.sampled_from(["BRL", "JPY", "KWD"])).map(frozenset)


@settings(deadline=None)
@given(
    st.lists(any_currencies, min_size=1, max_size=4),
    st.lists(st.sampled_from(["BRL", "JPY", "KWD"]), max_size=20),
    st.data(),
)
def test_no_payment_is_given_to_a_processor_that_does_not_take_it_and_waits_only_for_the_cheapest(
    taken: list[frozenset[str]], codes: list[str], data: st.DataObject
) -> None:
    processors = [
        Processor(name, "http://h", Decimal(number) / 10, currencies)
        for number, (name, currencies) in enumerate(zip(("default", "fallback", "c", "d"), taken, strict=False))
    ]
    if len(processors) == 1:
        processors.append(Processor("fallback", "http://h", Decimal("0.9"), frozenset()))
    subject = Dispatching(processors=processors)
    for processor in processors:
        subject.announce(processor.name, takes=data.draw(st.integers(0, 10)))
    offered = [payment(number, 1990, code) for number, code in enumerate(codes)]
    claims = accept(subject, *offered).claims
    by_name = {processor.name: processor for processor in processors}
    assert all(claim.payment.currency in by_name[claim.processor or ""].currencies for claim in claims)
    views = subject.dispatcher.routes.views
    for waiting in offered:
        driven = subject.dispatcher.describe(waiting.correlation_id)
        assert driven is not None
        if driven.state is State.HELD:
            takers = [processor.name for processor in processors if waiting.currency in processor.currencies]
            assert not takers or not views[takers[0]].has_room
