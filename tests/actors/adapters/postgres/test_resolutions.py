"""What an operator says of a payment is found by the replica that drives it, or by any where none does."""

import pytest

from actors.domain.payment import Claim, EndState
from actors.domain.resolution import Finding, Resolution, ResolutionAnswer
from tests.actors.adapters.postgres.storage import MANY, ReplicaStorage, claim, ended, record_of, settlement, uid
from tests.actors.fakes import NOW_MS, payment

CHARGED = Finding(uid(1), "fallback", NOW_MS - 5)
NOT_CHARGED = Finding(uid(1), None, None)


def test_the_replica_that_drives_the_payment_finds_what_is_said_until_it_has_answered(
    mine: ReplicaStorage, other: ReplicaStorage
) -> None:
    mine.payments.write([claim(1)], [], [])
    number = other.resolutions.ask(CHARGED, "an operator", NOW_MS)
    assert other.resolutions.unanswered(MANY) == ()
    assert mine.resolutions.unanswered(MANY) == (Resolution(number, CHARGED),)
    assert other.resolutions.answer_to(number) is None
    mine.resolutions.answer(number, ResolutionAnswer.MAY_SETTLE, NOW_MS)
    assert other.resolutions.answer_to(number) is ResolutionAnswer.MAY_SETTLE
    assert mine.resolutions.unanswered(MANY) == ()


def test_every_replica_finds_what_is_said_of_a_payment_that_none_drives(
    mine: ReplicaStorage, other: ReplicaStorage
) -> None:
    number = mine.resolutions.ask(NOT_CHARGED, "an operator", NOW_MS)
    for each in (mine, other):
        assert each.resolutions.unanswered(MANY) == (Resolution(number, NOT_CHARGED),)


def test_what_is_said_is_found_in_its_order_within_a_limit(mine: ReplicaStorage) -> None:
    numbers = [mine.resolutions.ask(Finding(uid(each), None, None), "an operator", NOW_MS) for each in range(1, 4)]
    assert [each.number for each in mine.resolutions.unanswered(2)] == numbers[:2]


@pytest.mark.parametrize("state", EndState)
def test_a_closed_payment_is_taken_up_by_one_replica(
    mine: ReplicaStorage, other: ReplicaStorage, state: EndState
) -> None:
    mine.payments.write([claim(1)], [], [])
    mine.payments.write([], [], [], [ended(1, state)])
    assert other.resolutions.reopen(uid(1)) == (Claim(payment(1), "fallback", 2), state)
    assert mine.resolutions.reopen(uid(1)) is None
    assert other.leases.claims(MANY) == (Claim(payment(1), "fallback", 2),)
    assert (record_of(mine, 1).owner, record_of(mine, 1).closing) == ("b", None)


def test_a_payment_that_was_taken_up_is_settled_or_closed_as_any_other(mine: ReplicaStorage) -> None:
    for number in (1, 2):
        mine.payments.write([claim(number)], [], [])
        mine.payments.write([], [], [], [ended(number)])
        assert mine.resolutions.reopen(uid(number)) is not None
    mine.payments.write([], [], [settlement(1, "fallback")], [ended(2, EndState.MISMATCHED)])
    assert record_of(mine, 1).settlement == settlement(1, "fallback")
    assert record_of(mine, 2).closing == ended(2, EndState.MISMATCHED)
    assert mine.leases.claims(MANY) == ()


def test_nothing_is_taken_up_by_who_is_not_registered(newcomer: ReplicaStorage, other: ReplicaStorage) -> None:
    other.payments.write([claim(1)], [], [])
    other.payments.write([], [], [], [ended(1)])
    assert newcomer.resolutions.reopen(uid(1)) is None
    assert record_of(other, 1).closing == ended(1)
