"""Payments wait in one queue for all currencies that the same processors take."""

from decimal import Decimal

from actors.domain.held_payments import HeldPayments, HeldQueue
from actors.domain.lifecycle import Lifecycle
from actors.domain.processors import Processor
from tests.actors.domain.dispatching import payment

BOTH = Processor("both", "http://b", Decimal("0.1"))
FEW = Processor("few", "http://f", Decimal("0.2"), frozenset({"BRL", "USD"}))


def life(number: int, currency: str = "BRL") -> Lifecycle:
    return Lifecycle(payment(number, 1990, currency))


def released(held: HeldPayments, *waiting: str) -> list[int]:
    """Release all but payments in these currencies; return their numbers."""
    numbers = []

    def is_released(queue: HeldQueue) -> bool:
        if queue.lives[0].payment.currency in waiting:
            return False
        numbers.append(queue.take().payment.correlation_id.int)
        return True

    held.release(is_released)
    return numbers


def test_currencies_that_the_same_processors_take_wait_for_one_another() -> None:
    held = HeldPayments([BOTH, FEW])
    for number, currency in enumerate(("BRL", "USD", "JPY", "KWD", "BRL")):
        held.add(life(number, currency))
    assert (len(held), held.restricted) == (5, 2)
    assert sorted(released(held, "USD", "KWD")) == [0, 2]
    assert sorted(released(held)) == [1, 3, 4]
    assert len(held) == 0


def test_what_is_put_first_is_released_first() -> None:
    held = HeldPayments([BOTH, FEW])
    held.add(life(1))
    held.add(life(2), first=True)
    assert released(held) == [2, 1]


def test_what_is_taken_out_is_neither_released_nor_counted_again() -> None:
    held = HeldPayments([BOTH])
    lives = [life(number) for number in range(3)]
    for each in lives:
        held.add(each)
    counts = []

    def count(queue: HeldQueue) -> bool:
        counts.append(queue.count_waiting())
        return False

    held.release(count)
    held.remove(lives[1])
    held.release(count)
    held.add(life(4))
    held.release(count)
    assert counts == [3, 0, 1]
    assert released(held) == [0, 2, 4]


def adopted(number: int, currency: str, row: str | None = "both") -> Lifecycle:
    return Lifecycle(payment(number, 1990, currency), is_adopted=True, has_row=True, row=row)


def test_only_payments_from_the_journal_count_as_restricted_however_others_come_and_go() -> None:
    held = HeldPayments([BOTH, FEW])
    lives = [adopted(number, "JPY") for number in range(4)]
    for each in (life(9, "JPY"), *lives):
        held.add(each)
    assert held.restricted == 1
    held.remove(lives[3])
    assert held.restricted == 1

    def take(queue: HeldQueue) -> bool:
        queue.take()  # That of the journal.
        assert held.restricted == 0
        queue.take()
        assert held.restricted == 0
        assert queue.take_named() == lives[1:3]
        assert (held.restricted, len(held)) == (0, 0)
        return False

    held.release(take)


def test_a_payment_that_was_taken_out_and_comes_back_without_a_processor_in_its_row_is_not_named() -> None:
    held = HeldPayments([BOTH])
    subject = adopted(1, "BRL")
    held.add(subject)
    held.remove(subject)
    subject.row = None
    held.add(subject)

    def take_named(queue: HeldQueue) -> bool:
        assert queue.take_named() == []
        return False

    held.release(take_named)
    assert len(held) == 1
