"""The workload depends on its seed alone, and the gateway reads all three formats in which it is posted."""

import itertools
from collections import Counter
from dataclasses import replace

import pytest

from actors.domain.payment import Payment
from actors.domain.processors import ALL_CURRENCIES
from gateway.payment_body import parse_payment
from ops.chaostest.workload import DECIMALS, HUGE_UNITS, Attempt, BodyFormat, OfferedPayment, draw_workload


def draw(seed: int, count: int) -> list[OfferedPayment]:
    return list(itertools.islice(draw_workload(seed), count))


def test_the_same_seed_gives_the_same_workload() -> None:
    assert draw(1, 200) == draw(1, 200)
    assert draw(1, 200) != draw(2, 200)


def test_no_two_payments_have_the_same_id_or_amount() -> None:
    offers = draw(1, 20_000)
    assert len({offer.correlation_id for offer in offers}) == 20_000
    amounts = [each for offer in offers for each in (offer.amount, offer.other_amount) if each is not None]
    assert len(set(amounts)) == len(amounts)
    assert len({offer.amount.minor for offer in offers}) == 20_000


def test_huge_amounts_differ_too_and_none_is_larger_than_a_payment_may_be() -> None:
    offers = list(itertools.islice(draw_workload(1, huge_share=0.2), 20_000))
    amounts = [each for offer in offers for each in (offer.amount, offer.other_amount) if each is not None]
    units = [each.minor / 10 ** DECIMALS[each.currency] for each in amounts]
    huge = sum(each > HUGE_UNITS - 10**7 for each in units)
    assert 3800 < huge < 4200
    assert max(units) < HUGE_UNITS
    assert len(set(amounts)) == len(amounts)


def test_about_one_in_twenty_is_repeated_and_few_are_posted_with_another_amount() -> None:
    offers = draw(1, 20_000)
    assert 900 < sum(offer.repeat_after_s is not None for offer in offers) < 1100
    assert 140 < sum(offer.other_amount is not None for offer in offers) < 260
    assert 60 < sum(offer.is_rival for offer in offers) < 140
    assert all(offer.other_amount is not None for offer in offers if offer.is_rival)
    assert not any(offer.repeat_after_s is not None and offer.other_amount is not None for offer in offers)


def test_some_payments_are_in_other_currencies_and_some_ids_are_posted_in_two() -> None:
    offers = draw(1, 20_000)
    found = Counter(offer.amount.currency for offer in offers)
    assert found[""] > 17_500
    assert all(found[code] > 400 for code in ("BRL", "JPY", "KWD"))
    others = [offer for offer in offers if offer.other_amount is not None]
    assert any(offer.other_amount and offer.other_amount.minor == offer.amount.minor for offer in others)
    assert not any(
        offer.other_amount
        and offer.other_amount.code == offer.amount.code
        and offer.other_amount.minor == offer.amount.minor
        for offer in others
    )


@pytest.mark.parametrize("body_format", BodyFormat)
def test_the_gateway_reads_each_format(body_format: BodyFormat) -> None:
    for offer in draw(1, 500):
        body = body_format.encode(offer.correlation_id, offer.amount)
        is_msgpack = body_format.content_type == "application/msgpack"
        expected = Payment(offer.correlation_id, offer.amount.minor, 1, offer.amount.code)
        assert parse_payment(body, ALL_CURRENCIES, 1, is_msgpack=is_msgpack) == expected


def test_a_payment_is_accepted_when_any_post_of_its_own_amount_was() -> None:
    (offer,) = draw(1, 1)
    offer.attempts.append(Attempt(0, "", offer.amount, 503))
    offer.attempts.append(Attempt(0, "", replace(offer.amount, minor=offer.amount.minor + 1), 202))
    assert not offer.accepted
    offer.attempts.append(Attempt(0, "", offer.amount, 202))
    assert offer.accepted


def test_of_rivals_either_amount_may_be_the_accepted_one() -> None:
    offer = next(offer for offer in draw_workload(1) if offer.is_rival)
    assert offer.other_amount is not None
    assert offer.amounts == (offer.amount, offer.other_amount)
    offer.attempts.append(Attempt(0, "", offer.other_amount, 202))
    assert offer.accepted
