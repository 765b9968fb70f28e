"""The payments that a trial offers repeat with their seed, and the gateway reads all three forms of them."""

import itertools

import pytest

from gateway.payment_body import parse_payment
from ops.trial.offers import Attempt, Form, Offer, draw_offers


def draw(seed: int, count: int) -> list[Offer]:
    return list(itertools.islice(draw_offers(seed), count))


def test_the_same_seed_gives_the_same_offers() -> None:
    assert draw(1, 200) == draw(1, 200)
    assert draw(1, 200) != draw(2, 200)


def test_no_two_have_the_same_id_or_amount() -> None:
    offers = draw(1, 20_000)
    assert len({offer.correlation_id for offer in offers}) == 20_000
    amounts = [cents for offer in offers for cents in (offer.amount_cents, offer.other_cents) if cents is not None]
    assert len(set(amounts)) == len(amounts)


def test_about_one_in_twenty_is_repeated_and_few_bring_another_amount() -> None:
    offers = draw(1, 20_000)
    assert 900 < sum(offer.repeat_after_s is not None for offer in offers) < 1100
    assert 60 < sum(offer.other_cents is not None for offer in offers) < 140
    assert not any(offer.repeat_after_s is not None and offer.other_cents is not None for offer in offers)


@pytest.mark.parametrize("form", Form)
def test_the_gateway_reads_each_form(form: Form) -> None:
    for offer in draw(1, 200):
        body = form.encode(offer.correlation_id, offer.amount_cents)
        is_msgpack = form.content_type == "application/msgpack"
        assert parse_payment(body, is_msgpack=is_msgpack) == (offer.correlation_id, offer.amount_cents)


def test_an_offer_is_accepted_once_any_post_of_its_own_amount_was() -> None:
    (offer,) = draw(1, 1)
    offer.attempts.append(Attempt(0, "", offer.amount_cents, 503))
    offer.attempts.append(Attempt(0, "", offer.amount_cents + 1, 202))
    assert not offer.accepted
    offer.attempts.append(Attempt(0, "", offer.amount_cents, 202))
    assert offer.accepted
