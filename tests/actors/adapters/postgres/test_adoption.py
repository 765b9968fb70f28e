"""What a replica leaves unsettled when its lease ends is taken over by one other, once."""

from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from threading import Barrier
from unittest.mock import ANY

import psycopg
import pytest

from actors.domain.payment import Claim, Mark, Move
from actors.domain.records import AdoptedClaims, KnownPayment, WriteResult
from actors.errors import LedgerUnavailableError
from tests.actors.adapters.postgres.storage import (
    DEADLINE_S,
    MANY,
    OpenStorage,
    ReplicaStorage,
    claim,
    ended,
    expel,
    on_postgres,
    record_of,
    settlement,
    uid,
)
from tests.actors.fakes import NOW_MS, READING, both, payment


def test_claims_of_a_replica_whose_lease_ended_are_taken_over(mine: ReplicaStorage, other: ReplicaStorage) -> None:
    epoch = other.leases.register(0, READING).epoch
    other.payments.write([claim(1), claim(2, "fallback"), claim(3)], [], [])
    other.payments.write([], [], [settlement(3)])
    mine.leases.register(0, READING)
    other.leases.beat(epoch, both(NOW_MS - 500), READING)
    assert mine.leases.adopt(100) is None
    expel(mine, "b")
    adopted = mine.leases.adopt(100)
    assert adopted is not None
    assert (set(adopted.claims), adopted.oldest_stamp_ms) == ({claim(1), claim(2, "fallback")}, NOW_MS - 500)
    assert (set(mine.leases.claims(MANY)), other.leases.claims(MANY)) == ({claim(1), claim(2, "fallback")}, ())
    assert mine.leases.adopt(100) is None


def test_ten_thousand_rows_are_taken_over_in_pages_by_all_who_have_room(
    mine: ReplicaStorage, other: ReplicaStorage, newcomer: ReplicaStorage
) -> None:
    epoch = other.leases.register(0, READING).epoch
    for first in range(0, MANY, 100):
        other.payments.write([claim(number) for number in range(first, first + 100)], [], [])
    other.leases.retire(epoch, both(NOW_MS - 500))
    pages: list[tuple[Claim, ...]] = []
    for replica in cycle([mine, newcomer]):
        if len(pages) == 1:
            newcomer.leases.register(0, READING)
        adopted = replica.leases.adopt(500)
        if adopted is None:
            break
        assert adopted.oldest_stamp_ms == NOW_MS - 500
        pages.append(adopted.claims)
    assert {len(page) for page in pages} == {500}
    assert {each for page in pages for each in page} == {claim(number) for number in range(MANY)}


@on_postgres
def test_nine_replicas_that_search_at_once_share_fairly_what_three_others_have_left(
    open_storage: OpenStorage, database_url: str
) -> None:
    living, gone = [open_storage(f"living{number}") for number in range(9)], ("b", "a", "c")
    for storage in living:
        storage.leases.register(0, READING)
    for name in gone:
        open_storage(name).leases.register(0, READING)
    with psycopg.connect(database_url, autocommit=True) as connection:
        # As it is left by replicas that died under load, in one statement.
        connection.execute(
            "WITH numbers AS (SELECT n, md5(n::text)::uuid AS id FROM generate_series(1, 10000) AS n), made AS ("
            "    INSERT INTO payment (correlation_id, amount_cents, currency, accepted_at_ms)"
            "    SELECT id, 100, 'BRL', n FROM numbers)"
            " INSERT INTO claim (correlation_id, processor, owner, epoch)"
            " SELECT id, 'default', (ARRAY['a', 'b', 'c'])[n % 3 + 1], 1 FROM numbers"
        )
        connection.execute("VACUUM ANALYZE")
    expel(living[0], *gone)
    together = Barrier(len(living))

    def search(storage: ReplicaStorage) -> list[int]:
        """Adopt a page in each round, until nobody is left to adopt from; give how many rows each round gave."""
        pages = []
        for _ in range(10_000 // 900 + 2):
            together.wait(DEADLINE_S)
            adopted = storage.leases.adopt(100)
            pages.append(0 if adopted is None else len(adopted.claims))
        return pages

    with ThreadPoolExecutor(len(living)) as executor:
        taken = list(executor.map(search, living))
    assert sum(map(sum, taken)) == 10_000
    assert [pages[:11] for pages in taken] == [[100] * 11] * 9, (
        "each takes a page in each round, as long as there is one"
    )
    assert max(map(sum, taken)) - min(map(sum, taken)) <= 100


def test_who_was_taken_for_dead_renews_nothing_when_it_wakes_up(mine: ReplicaStorage, other: ReplicaStorage) -> None:
    epoch = other.leases.register(0, READING).epoch
    other.payments.write([claim(1), claim(2)], [], [])
    expel(mine, "b")
    assert mine.leases.adopt(1) is not None
    assert not other.leases.beat(epoch, both(NOW_MS), READING).renewed


def test_who_was_taken_for_dead_writes_nothing_when_it_wakes_up(mine: ReplicaStorage, other: ReplicaStorage) -> None:
    other.leases.register(0, READING)
    other.payments.write([claim(1), claim(2)], [], [])
    expel(mine, "b")
    assert mine.leases.adopt(1) is not None
    records = [record_of(mine, number) for number in (1, 2)]
    with pytest.raises(LedgerUnavailableError):
        other.payments.write([claim(3)], [], [])
    with pytest.raises(LedgerUnavailableError):
        other.payments.write([], [Move(uid(number), "fallback", 1, moves=1) for number in (1, 2)], [])
    assert [mine.payments.payment(uid(number)) for number in (1, 2, 3)] == [*records, None]
    with pytest.raises(LedgerUnavailableError):
        other.payments.write([], [], [settlement(1), settlement(2)])
    with pytest.raises(LedgerUnavailableError):
        other.payments.write([], [], [], [ended(1)], [Mark(uid(2), "unknown", NOW_MS)])
    assert [mine.payments.payment(uid(number)) for number in (1, 2, 3)] == [*records, None]


def test_what_a_row_proves_is_taken_over_with_it(mine: ReplicaStorage, other: ReplicaStorage) -> None:
    epoch = other.leases.register(0, READING).epoch
    other.payments.write([claim(1), claim(2)], [], [])
    other.payments.write([], [Move(uid(1), None, 4, moves=1), Move(uid(2), "fallback", 1, moves=7)], [])
    other.leases.retire(epoch, both(NOW_MS))
    adopted = mine.leases.adopt(100)
    expected = (claim(1, None, attempts=4, moves=1), claim(2, "fallback", attempts=1, moves=7))
    assert (adopted and adopted.claims, mine.leases.claims(MANY)) == (expected, expected)


def test_a_row_that_was_taken_over_is_none_of_an_earlier_try(mine: ReplicaStorage, other: ReplicaStorage) -> None:
    other.payments.write([claim(1)], [], [])
    epoch = other.leases.register(0, READING).epoch
    other.leases.retire(epoch, both(NOW_MS - 5))
    assert mine.leases.adopt(100) is not None
    assert mine.payments.write([claim(1)], [], []) == WriteResult(
        (), (KnownPayment(payment(1), "a", "default", 0, 0, NOW_MS - 5),), ()
    )


def test_what_was_taken_over_is_among_what_is_read(mine: ReplicaStorage, other: ReplicaStorage) -> None:
    other.payments.write([claim(1)], [], [])
    other.leases.retire(other.leases.register(0, READING).epoch, both(NOW_MS - 5))
    mine.leases.register(0, READING)
    assert mine.leases.adopt(100) is not None
    for _ in range(2):
        assert mine.leases.claims(MANY, earlier_run=True) == (claim(1),)
        # A later registration may not have heard of it.
        mine.leases.register(0, READING)


@on_postgres
def test_what_the_release_before_has_taken_over_is_read_and_is_none_of_an_earlier_try(
    mine: ReplicaStorage, database_url: str
) -> None:
    mine.payments.write([claim(1)], [], [])
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE claim SET epoch = -epoch")
    assert mine.leases.claims(MANY, earlier_run=True) == (claim(1),)
    assert mine.payments.write([claim(1)], [], []).claimed == ()


def test_a_row_whose_commit_was_not_answered_before_the_replica_joined_again_was_never_sent(
    mine: ReplicaStorage,
) -> None:
    mine.payments.write([claim(1)], [], [])
    for _ in range(2):
        mine.leases.register(0, READING)
    assert mine.leases.claims(MANY, earlier_run=True) == ()
    assert mine.payments.write([claim(1)], [], []) == WriteResult((uid(1),), (), ())


def test_what_an_earlier_run_has_written_may_have_been_sent(mine: ReplicaStorage) -> None:
    mine.payments.write([claim(1)], [], [])
    mine.payments.forget_registration()
    mine.leases.register(0, READING)
    assert mine.leases.claims(MANY, earlier_run=True) == (claim(1),)
    assert mine.payments.write([claim(1)], [], []).claimed == ()


def test_what_another_process_has_written_under_the_same_name_may_have_been_sent(
    open_storage: OpenStorage, mine: ReplicaStorage
) -> None:
    twin = open_storage("a")
    twin.leases.register(0, READING)
    twin.payments.write([claim(1)], [], [])
    mine.leases.register(0, READING)
    assert mine.leases.claims(MANY, earlier_run=True) == (claim(1),)
    mine.payments.forget_registration()
    mine.leases.register(0, READING)
    assert mine.leases.claims(MANY, earlier_run=True) == (claim(1),)
    assert mine.payments.write([claim(1)], [], []).claimed == ()


def test_who_joins_with_what_is_older_than_the_last_purge_writes_nothing(
    newcomer: ReplicaStorage, other: ReplicaStorage
) -> None:
    newcomer.leases.register(0, READING)
    purge = newcomer.purge.begin_purge(NOW_MS)
    for each in (newcomer, other):
        each.purge.acknowledge_purge(purge.generation)
    assert other.purge.finish_purge(purge)
    newcomer.payments.forget_registration()
    assert newcomer.leases.register(0, READING).generation == purge.generation
    with pytest.raises(LedgerUnavailableError):
        newcomer.payments.write([claim(1)], [], [])
    newcomer.leases.register(purge.generation, READING)
    assert newcomer.payments.write([claim(1)], [], []).claimed == (uid(1),)


def test_totals_stay_open_for_what_was_taken_over(mine: ReplicaStorage, other: ReplicaStorage) -> None:
    other.leases.beat(other.leases.register(0, READING).epoch, both(NOW_MS - 500), READING)
    other.payments.write([claim(1)], [], [])
    expel(mine, "b")
    mine.leases.register(0, READING)
    mine.leases.adopt(100)
    assert mine.payments.summary(None, None).final_before_ms == NOW_MS - 500


def test_rows_that_name_a_processor_can_be_left_where_they_are(mine: ReplicaStorage, other: ReplicaStorage) -> None:
    other.leases.register(0, READING)
    free = Claim(claim(3).payment, None)
    other.payments.write([claim(1), claim(2, "fallback"), free], [], [])
    mine.leases.register(0, READING)
    expel(mine, "b")
    assert mine.leases.adopt(100, ["default", "fallback", "elsewhere"]) == AdoptedClaims((free,), ANY)
    assert mine.leases.adopt(100, ["default", "fallback"]) is None
    assert mine.leases.adopt(100, ["default"]) == AdoptedClaims((claim(2, "fallback"),), ANY)
    assert mine.leases.claims(MANY, naming="fallback") == (claim(2, "fallback"),)
    assert mine.leases.claims(MANY, leave_out=["fallback"]) == (free,)
    assert mine.leases.claims(MANY, naming="default") == ()


def test_the_living_and_those_who_left_nothing_are_let_be(mine: ReplicaStorage, other: ReplicaStorage) -> None:
    other.leases.register(0, READING)
    other.payments.write([claim(1)], [], [])
    mine.leases.register(0, READING)
    mine.payments.write([claim(2)], [], [])
    assert mine.leases.adopt(100) is None
    assert (mine.leases.claims(MANY), other.leases.claims(MANY)) == ((claim(2),), (claim(1),))


@on_postgres
def test_of_those_who_take_over_at_once_each_claim_goes_to_one(
    open_storage: OpenStorage, mine: ReplicaStorage, other: ReplicaStorage
) -> None:
    dead = open_storage("dead")
    dead.leases.register(0, READING)
    dead.payments.write([claim(number) for number in range(100)], [], [])
    expel(mine, "dead")
    barrier = Barrier(2)

    def adopt_all(adopter: ReplicaStorage) -> list[Claim]:
        barrier.wait(DEADLINE_S)
        claims: list[Claim] = []
        while (adopted := adopter.leases.adopt(7)) is not None:
            assert 1 <= len(adopted.claims) <= 7
            claims += adopted.claims
        return claims

    with ThreadPoolExecutor() as executor:
        futures = [executor.submit(adopt_all, adopter) for adopter in (mine, other)]
        ours, theirs = (future.result(DEADLINE_S) for future in futures)
    assert (len(ours) + len(theirs), set(ours) | set(theirs)) == (100, {claim(number) for number in range(100)})
    assert (set(mine.leases.claims(MANY)), set(other.leases.claims(MANY))) == (set(ours), set(theirs))
