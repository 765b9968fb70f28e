"""The forms of a payment that are compared are the same payment."""

from actors.domain.payment import Payment
from actors.domain.processors import ALL_CURRENCIES
from gateway.payment_body import parse_payment
from ops.benchmarks.promises import PAYMENT_ID, bodies


def test_all_forms_are_one_payment() -> None:
    told = {form: parse_payment(body, ALL_CURRENCIES, 1, is_msgpack=form != "json") for form, body in bodies().items()}
    assert set(told.values()) == {Payment(PAYMENT_ID, 1990, 1)}
    assert list(told) == ["json", "msgpack", "compact"]
