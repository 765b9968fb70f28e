"""One payment and one charge are kept per id, whoever writes them and how often."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from uuid import UUID

from actors.domain.money import Money
from actors.domain.payment import Claim, Move, Payment, Settlement
from actors.domain.records import Absence, PaymentRecord, ProcessorTotal, WriteResult
from tests.actors.adapters.postgres.storage import (
    DEADLINE_S,
    MANY,
    NOTHING,
    ReplicaStorage,
    charge,
    claim,
    on_postgres,
    record_of,
    settlement,
    uid,
)
from tests.actors.fakes import NOW_MS, READING, both, payment


def owners(result: WriteResult) -> dict[UUID, str | None]:
    return {known.payment.correlation_id: known.owner for known in result.known}


def test_a_new_payment_belongs_to_the_replica_that_wrote_it(mine: ReplicaStorage) -> None:
    assert mine.payments.write([claim(1), claim(2, "fallback", 5)], [], []) == WriteResult((uid(1), uid(2)), (), ())
    assert record_of(mine, 1) == PaymentRecord(payment(1), "default", "a", None, ())
    assert record_of(mine, 2) == PaymentRecord(payment(2, 5), "fallback", "a", None, ())


def test_nothing_to_write_is_written(mine: ReplicaStorage) -> None:
    assert mine.payments.write([], [], []) == NOTHING


def test_a_payment_that_nobody_wrote_is_unknown(mine: ReplicaStorage) -> None:
    assert mine.payments.payment(uid(1)) is None
    assert mine.payments.payment(uid(1), wait_s_max=5.0) is None


def test_an_absent_payment_is_told_with_all_others_who_may_have_accepted_it(
    mine: ReplicaStorage, other: ReplicaStorage
) -> None:
    assert mine.payments.absence(uid(1)) == Absence(recorded=False, others=frozenset({"b"}))
    other.leases.retire(1, both(NOW_MS))
    other.payments.write([claim(1)], [], [])
    assert mine.payments.absence(uid(1)) == Absence(recorded=True, others=frozenset({"b"}))


def test_the_same_batch_again_changes_nothing(mine: ReplicaStorage) -> None:
    mine.payments.write([claim(1), claim(2)], [], [])
    batch = ([claim(3)], [Move(uid(1), "fallback", 1, moves=1)], [settlement(2)])
    first = mine.payments.write(*batch)
    assert first == WriteResult((uid(3),), (), (uid(1),))
    records = [mine.payments.payment(uid(number)) for number in (1, 2, 3)]
    assert mine.payments.write(*batch) == first
    assert [mine.payments.payment(uid(number)) for number in (1, 2, 3)] == records


def test_a_payment_that_stands_twice_in_a_batch_is_written_once(mine: ReplicaStorage) -> None:
    assert mine.payments.write([claim(1), claim(2), claim(1)], [], []).claimed == (uid(1), uid(2))
    assert mine.leases.claims(MANY) == (claim(1), claim(2))


def test_of_two_amounts_in_a_batch_one_is_kept(mine: ReplicaStorage) -> None:
    mine.payments.write([claim(1, amount_minor=1), claim(1, amount_minor=2)], [], [])
    assert [kept.payment.amount_minor in {1, 2} for kept in mine.leases.claims(MANY)] == [True]


def test_a_known_payment_is_told_as_it_was_written_first(mine: ReplicaStorage, other: ReplicaStorage) -> None:
    mine.payments.write([claim(1), claim(2), claim(3)], [], [])
    mine.payments.write([], [Move(uid(2), "fallback", 1, moves=1)], [settlement(3)])
    result = other.payments.write([claim(number, "third", 5) for number in (1, 2, 3, 4)], [], [])
    assert result.claimed == (uid(4),)
    known = {each.payment: (each.owner, each.processor) for each in result.known}
    assert known.keys() == {payment(1), payment(2), payment(3)}
    assert (known[payment(1)], known[payment(2)]) == (("a", "default"), ("a", "fallback"))
    assert known[payment(3)][0] is None


def test_a_move_names_the_new_processor(mine: ReplicaStorage) -> None:
    mine.payments.write([claim(1), claim(2)], [], [])
    assert mine.payments.write([], [Move(uid(1), "fallback", 3, moves=1)], []) == WriteResult((), (), (uid(1),))
    assert set(mine.leases.claims(MANY)) == {claim(1, "fallback", attempts=3, moves=1), claim(2)}


def test_only_the_owner_moves_a_payment(mine: ReplicaStorage, other: ReplicaStorage) -> None:
    mine.payments.write([claim(1)], [], [])
    assert other.payments.write([], [Move(uid(1), "fallback", 1, moves=1)], []) == NOTHING
    assert mine.leases.claims(MANY) == (claim(1),)


def test_what_is_unknown_or_settled_does_not_move(mine: ReplicaStorage) -> None:
    charge(mine, 1)
    assert (
        mine.payments.write([], [Move(uid(1), "fallback", 1, moves=1), Move(uid(2), "fallback", 1, moves=1)], [])
        == NOTHING
    )
    assert record_of(mine, 1).processor == "default"


def test_a_settled_payment_belongs_to_nobody(mine: ReplicaStorage) -> None:
    mine.payments.write([claim(1)], [], [])
    assert mine.payments.write([], [], [settlement(1, "fallback", NOW_MS + 7, 2)]) == NOTHING
    assert record_of(mine, 1) == PaymentRecord(
        payment(1), "fallback", None, settlement(1, "fallback", NOW_MS + 7, 2), ()
    )
    assert mine.leases.claims(MANY) == ()


def test_two_settlements_in_one_batch_are_one(mine: ReplicaStorage) -> None:
    mine.payments.write([claim(1)], [], [])
    mine.payments.write([], [], [settlement(1), settlement(1)])
    assert mine.payments.summary(None, None).totals == (ProcessorTotal("default", 1, Money(1990, "BRL")),)


def test_a_settled_payment_is_not_claimed_again(mine: ReplicaStorage, other: ReplicaStorage) -> None:
    charge(mine, 1)
    assert other.payments.write([claim(1)], [], []).claimed == ()
    assert (mine.leases.claims(MANY), other.leases.claims(MANY)) == ((), ())


@on_postgres
def test_of_replicas_that_write_the_same_payments_at_once_one_owns_each(
    mine: ReplicaStorage, other: ReplicaStorage
) -> None:
    barrier = Barrier(2)

    def write(writer: ReplicaStorage, numbers: list[int]) -> list[WriteResult]:
        results = []
        for first in range(0, 1000, 100):
            barrier.wait(DEADLINE_S)
            results.append(writer.payments.write([claim(first + number) for number in numbers], [], []))
        return results

    with ThreadPoolExecutor() as executor:
        forwards = executor.submit(write, mine, list(range(100)))
        backwards = executor.submit(write, other, list(range(99, -1, -1)))
        pairs = list(zip(forwards.result(DEADLINE_S), backwards.result(DEADLINE_S), strict=True))
    for number, (ours, theirs) in enumerate(pairs):
        everything = {uid(number * 100 + each) for each in range(100)}
        assert sorted([*ours.claimed, *theirs.claimed]) == sorted(everything)
        assert owners(ours) == dict.fromkeys(theirs.claimed, "b")
        assert owners(theirs) == dict.fromkeys(ours.claimed, "a")
    assert len(mine.leases.claims(MANY)) + len(other.leases.claims(MANY)) == 1000


def test_claims_are_those_of_the_replica_by_their_ids_each_page_oldest_first(
    mine: ReplicaStorage, other: ReplicaStorage
) -> None:
    aged = [Claim(Payment(uid(number), 1, NOW_MS + age), "default") for number, age in ((1, 30), (2, 10), (3, 20))]
    mine.payments.write(aged, [], [])
    other.payments.write([claim(4)], [], [])
    charge(mine, 5)
    assert mine.leases.claims(MANY) == (aged[1], aged[2], aged[0])
    assert (mine.leases.claims(2), mine.leases.claims(MANY, uid(2))) == ((aged[1], aged[0]), (aged[2],))
    assert mine.leases.claims(MANY, uid(3)) == mine.leases.claims(MANY, UUID(int=2**128 - 1)) == ()
    assert other.leases.claims(MANY) == (claim(4),)


def test_the_latest_are_what_was_charged_last_on_any_replica_oldest_first(
    mine: ReplicaStorage, other: ReplicaStorage
) -> None:
    assert tuple(mine.payments.latest(3)) == ()
    charge(mine, 1, NOW_MS + 10)
    charge(mine, 2, NOW_MS + 40, "fallback")
    charge(other, 3, NOW_MS + 30)
    charge(other, 4, NOW_MS + 20)
    mine.payments.write([claim(5)], [], [])
    charged = tuple(Payment(uid(number), 1990, NOW_MS + age) for number, age in ((1, 10), (4, 20), (3, 30), (2, 40)))
    assert [tuple(mine.payments.latest(most)) for most in (0, 1, 3, 4, 100)] == [
        (),
        charged[3:],
        charged[1:],
        charged,
        charged,
    ]


def test_a_payment_keeps_its_currency_from_its_claim_to_its_settlement(mine: ReplicaStorage) -> None:
    mine.leases.register(0, READING)
    yen, dinars = payment(1, 1990, "JPY"), payment(2, 10**16, "KWD")
    mine.payments.write([Claim(yen, "default"), Claim(dinars, "default")], [], [])
    assert record_of(mine, 1).payment == yen
    assert [claim.payment for claim in mine.leases.claims(10)] == [yen, dinars]
    (known,) = mine.payments.write([Claim(payment(1, 1990, "USD"), "default")], [], []).known
    assert known.payment == yen
    charged = [Settlement(each, "default", NOW_MS + late_ms, 1, NOW_MS) for late_ms, each in enumerate((yen, dinars))]
    mine.payments.write([], [], charged)
    assert tuple(mine.payments.latest(10)) == (yen, replace(dinars, accepted_at_ms=NOW_MS + 1))
    assert set(mine.payments.summary(None, None).totals) == {
        ProcessorTotal("default", 1, Money(1990, "JPY")),
        ProcessorTotal("default", 1, Money(10**16, "KWD")),
    }


def test_an_amount_in_other_currencies_is_kept_beside_the_first(mine: ReplicaStorage) -> None:
    mine.payments.write([claim(1)], [], [])
    offered = [Payment(uid(1), 1990, NOW_MS + age, code) for age, code in enumerate(("USD", "JPY", "USD"))]
    mine.payments.report_conflicts(offered)
    assert record_of(mine, 1).conflicting_amounts == (Money(1990, "USD"), Money(1990, "JPY"))


def test_other_amounts_are_kept_beside_the_first_and_once(mine: ReplicaStorage) -> None:
    mine.payments.write([claim(1), claim(2)], [], [])
    offered = [Payment(uid(1), 7, NOW_MS + 2), Payment(uid(1), 5, NOW_MS + 1)]
    for _ in range(2):
        mine.payments.report_conflicts(offered)
    assert record_of(mine, 1) == PaymentRecord(payment(1), "default", "a", None, (Money(5, "BRL"), Money(7, "BRL")))
    assert record_of(mine, 2).conflicting_amounts == ()
