"""The workload depends on its seed alone, and the gateway reads all three formats in which it is posted."""

import itertools

import pytest

from gateway.payment_body import parse_payment
from ops.chaostest.workload import Attempt, BodyFormat, OfferedPayment, draw_workload


def draw(seed: int, count: int) -> list[OfferedPayment]:
    return list(itertools.islice(draw_workload(seed), count))


def test_the_same_seed_gives_the_same_workload() -> None:
    assert draw(1, 200) == draw(1, 200)
    assert draw(1, 200) != draw(2, 200)


def test_no_two_payments_have_the_same_id_or_amount() -> None:
    offers = draw(1, 20_000)
    assert len({offer.correlation_id for offer in offers}) == 20_000
    amounts = [cents for offer in offers for cents in (offer.amount_minor, offer.other_cents) if cents is not None]
    assert len(set(amounts)) == len(amounts)


def test_about_one_in_twenty_is_repeated_and_few_are_posted_with_another_amount() -> None:
    offers = draw(1, 20_000)
    assert 900 < sum(offer.repeat_after_s is not None for offer in offers) < 1100
    assert 60 < sum(offer.other_cents is not None for offer in offers) < 140
    assert not any(offer.repeat_after_s is not None and offer.other_cents is not None for offer in offers)


@pytest.mark.parametrize("body_format", BodyFormat)
def test_the_gateway_reads_each_format(body_format: BodyFormat) -> None:
    for offer in draw(1, 200):
        body = body_format.encode(offer.correlation_id, offer.amount_minor)
        is_msgpack = body_format.content_type == "application/msgpack"
        assert parse_payment(body, is_msgpack=is_msgpack) == (offer.correlation_id, offer.amount_minor)


def test_a_payment_is_accepted_when_any_post_of_its_own_amount_was() -> None:
    (offer,) = draw(1, 1)
    offer.attempts.append(Attempt(0, "", offer.amount_minor, 503))
    offer.attempts.append(Attempt(0, "", offer.amount_minor + 1, 202))
    assert not offer.accepted
    offer.attempts.append(Attempt(0, "", offer.amount_minor, 202))
    assert offer.accepted
