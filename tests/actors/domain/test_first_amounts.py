"""What is known of an id decides what its next post is answered, and Postgres decides over everything."""

import pytest

from actors.domain.first_amounts import FirstAmounts, Verdict
from actors.domain.level import Level
from actors.domain.money import AMOUNT_MINOR_MAX, Money
from tests.actors.fakes import payment

ONE, TWO, THREE = payment(1, 100), payment(1, 200), payment(1, AMOUNT_MINOR_MAX, "CLF")


def judged(amounts: FirstAmounts) -> tuple[Verdict, Verdict]:
    """What is known against the first and the second amount."""
    return amounts.judge(ONE), amounts.judge(TWO)


@pytest.mark.parametrize(
    ("events", "one", "two"),
    [
        ([], Verdict.NEW, Verdict.NEW),
        (["accept 1"], Verdict.REPEATED, Verdict.UNCONFIRMED),
        (["hear 1"], Verdict.NEW, Verdict.CONTESTED),
        (["hear 1", "hear 1"], Verdict.NEW, Verdict.CONTESTED),
        (["hear 1", "hear 2"], Verdict.CONTESTED, Verdict.CONTESTED),
        (["hear 1", "hear 2", "hear 1"], Verdict.CONTESTED, Verdict.CONTESTED),
        (["accept 1", "hear 1"], Verdict.REPEATED, Verdict.UNCONFIRMED),
        (["accept 1", "hear 2"], Verdict.CONTESTED, Verdict.CONTESTED),
        (["accept 1", "forget 1"], Verdict.NEW, Verdict.NEW),
        (["take_over 1", "take_over 2"], Verdict.CONTESTED, Verdict.CONTESTED),
        (["take_over 1", "take_over 1"], Verdict.REPEATED, Verdict.UNCONFIRMED),
        (["hear 1", "take_over 1"], Verdict.REPEATED, Verdict.UNCONFIRMED),
        (["hear 1", "take_over 2"], Verdict.CONTESTED, Verdict.CONTESTED),
        (["hear 1", "hear 2", "take_over 1"], Verdict.CONTESTED, Verdict.CONTESTED),
        (["hear_decided 1"], Verdict.NEW, Verdict.REFUSED),
        (["hear 2", "hear_decided 1", "hear 2"], Verdict.NEW, Verdict.REFUSED),
        (["hear 2", "hear 1", "hear_decided 1"], Verdict.NEW, Verdict.REFUSED),
        (["accept 1", "hear_decided 1"], Verdict.REPEATED, Verdict.REFUSED),
        (["accept 2", "hear_decided 1", "hear 2"], Verdict.NEW, Verdict.REFUSED),
        (["accept 2", "hear 1", "hear_decided 1"], Verdict.NEW, Verdict.REFUSED),
        (["hear_decided 1", "take_over 2"], Verdict.NEW, Verdict.REFUSED),
        (["hear_decided 1", "take_over 1"], Verdict.REPEATED, Verdict.UNCONFIRMED),
        (["decide 1"], Verdict.REPEATED, Verdict.REFUSED),
        (["decide 1", "forget 1"], Verdict.REPEATED, Verdict.REFUSED),
        (["accept 2", "hear 1", "decide 1", "hear 2"], Verdict.REPEATED, Verdict.REFUSED),
        (["accept 2", "decide 1", "forget 2"], Verdict.REPEATED, Verdict.REFUSED),
        (["hear 1", "hear 2", "decide 1", "take_over 2"], Verdict.REPEATED, Verdict.REFUSED),
        (["decide 1", "hear_decided 2"], Verdict.REPEATED, Verdict.REFUSED),
    ],
    ids=str,
)
def test_the_next_post_is_judged_by_all_that_is_known_of_its_id(events: list[str], one: Verdict, two: Verdict) -> None:
    amounts = FirstAmounts(10)
    for event in events:
        name, number = event.split()
        getattr(amounts, name)(ONE if number == "1" else TWO)
    assert judged(amounts) == (one, two)


def test_the_largest_amount_of_the_finest_currency_leaves_room_for_the_marks() -> None:
    amounts = FirstAmounts(10)
    amounts.hear(THREE)
    amounts.hear(ONE)
    assert amounts.judge(THREE) is Verdict.CONTESTED
    amounts.hear_decided(THREE)
    assert (amounts.judge(THREE), amounts.judge(ONE)) == (Verdict.NEW, Verdict.REFUSED)
    assert amounts.get(THREE.correlation_id) == Money(AMOUNT_MINOR_MAX, "CLF")


def test_the_amount_of_an_id_is_told_without_its_marks() -> None:
    amounts = FirstAmounts(10)
    assert amounts.get(ONE.correlation_id) is None
    amounts.hear(ONE)
    amounts.hear(TWO)
    assert amounts.get(ONE.correlation_id) == ONE.money
    amounts.decide(TWO)
    assert amounts.get(ONE.correlation_id) == TWO.money


@pytest.mark.parametrize(
    ("events", "is_decided"),
    [
        ([], False),
        (["accept"], False),
        (["hear"], False),
        (["hear_decided"], False),
        (["accept", "hear_decided"], True),
        (["decide"], True),
        (["accept", "hear", "decide"], True),
    ],
    ids=str,
)
def test_an_amount_is_decided_once_postgres_has_the_row_of_a_payment_that_was_accepted_here(
    events: list[str], *, is_decided: bool
) -> None:
    amounts = FirstAmounts(10)
    for name in events:
        getattr(amounts, name)(ONE)
    assert amounts.is_decided(ONE.correlation_id) is is_decided


def test_ids_that_were_accepted_here_and_heard_of_are_counted_apart() -> None:
    amounts = FirstAmounts(10)
    amounts.accept(payment(1))
    amounts.accept(payment(2))
    amounts.hear(payment(3))
    assert amounts.levels() == (Level(2, 10), Level(1, 10))
