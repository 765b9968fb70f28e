"""A payment whose id had a row is charged by the replica that the row names, with the amount that the row has."""

from dataclasses import replace

from actors.domain.known_rows import KnownRows, sort_out
from actors.domain.payment import Claim, Payment
from actors.domain.records import KnownPayment
from tests.actors.domain.dispatching import payment


def known(paid: Payment, owner: str | None) -> KnownPayment:
    return KnownPayment(paid, owner, "default", moves=0, attempts=0, oldest_stamp_ms=None)


def test_rows_are_sorted_by_their_owner_and_their_amount() -> None:
    own, foreign, settled, cheaper = payment(1), payment(2), payment(3), payment(4)
    dearer = replace(cheaper, amount_minor=cheaper.amount_minor + 1)
    rows = [known(own, "here"), known(foreign, "there"), known(settled, None), known(dearer, "here")]
    claims = [Claim(each, "default") for each in (cheaper, settled, foreign, own)]
    assert sort_out(claims, rows, "here") == KnownRows(
        ours=[rows[0]], first=[dearer], conflicts=[cheaper], rejected=[foreign, settled, cheaper]
    )


def test_the_same_number_in_another_currency_is_another_amount() -> None:
    reais, dollars = payment(1), payment(1, currency="USD")
    found = sort_out([Claim(reais, None)], [known(dollars, "here")], "here")
    assert found == KnownRows(first=[dollars], conflicts=[reais], rejected=[reais])
