"""Replicas that hear different things of one id tell their clients the same, and none denies what another accepted."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from uuid import UUID, uuid4

import pytest

from ops.chaostest.client import open_connection
from ops.chaostest.workload import OfferedAmount, OfferedPayment
from tests.end_to_end.cluster import Cluster, get, post_payment, running_cluster
from tests.waiting import WAIT_S_MAX, wait_until

pytestmark = pytest.mark.long

RACES = 40
POSTS = 60


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One gateway for the tests after which all its processes are there again."""
    with running_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


def offer(number: int, minor: int = 1990) -> OfferedPayment:
    return OfferedPayment(UUID(int=number, version=4), OfferedAmount(minor))


def post(url: str, payment: OfferedPayment) -> int:
    with open_connection(url, WAIT_S_MAX) as connection:
        return post_payment(connection, payment).status


def post_at_once(urls: Sequence[str], payments: Sequence[OfferedPayment]) -> list[int]:
    """Post each payment to the replica at its place, all at the same moment."""
    barrier = Barrier(len(urls))

    def wait_and_post(url: str, payment: OfferedPayment) -> int:
        barrier.wait(WAIT_S_MAX)
        return post(url, payment)

    with ThreadPoolExecutor(len(urls)) as pool:
        return list(pool.map(wait_and_post, urls, payments))


def test_of_two_amounts_that_were_accepted_at_once_every_replica_takes_the_charged_one_and_refuses_the_other(
    shared: Cluster,
) -> None:
    urls = shared.stack.replica_urls
    races = [(offer(number, 100), offer(number, 200)) for number in range(1, RACES + 1)]
    before = shared.settled()
    for race in races:
        assert set(post_at_once(urls[:2], race)) <= {202, 409, 503}
    shared.wait_for_settled(before + RACES)
    charged = {correlation_id: minor for correlation_id, minor, *_ in shared.charges()}

    winners = [each for race in races for each in race if each.amount.minor == charged[each.correlation_id]]
    losers = [each for race in races for each in race if each not in winners]

    def answers(payments: Sequence[OfferedPayment]) -> set[int]:
        return {post(url, payment) for payment in payments for url in urls}

    for winner in winners:
        wait_until(lambda winner=winner: answers([winner]) == {202})  # type: ignore[misc]
    for loser in losers:
        wait_until(lambda loser=loser: answers([loser]) == {409})  # type: ignore[misc]
    assert (answers(winners), answers(losers)) == ({202}, {409})
    assert shared.settled() == before + RACES


def statuses(urls: Sequence[str], correlation_id: UUID) -> list[int]:
    """Ask all of these replicas for a payment at the same moment."""
    with ThreadPoolExecutor(len(urls)) as pool:
        return [status for status, _ in pool.map(get, [f"{url}/payments/{correlation_id}" for url in urls])]


def test_a_payment_is_found_on_every_replica_as_soon_as_one_has_accepted_it(shared: Cluster) -> None:
    urls = shared.stack.replica_urls
    before = shared.settled()
    for number in range(1000, 1000 + POSTS):
        assert post(urls[number % 3], offer(number)) == 202
        assert statuses(urls, offer(number).correlation_id) == [200, 200, 200]
    shared.wait_for_settled(before + POSTS)


def test_an_id_that_nobody_has_accepted_is_not_found_on_any_replica(shared: Cluster) -> None:
    assert statuses(shared.stack.replica_urls, uuid4()) == [404, 404, 404]


def test_while_postgres_stands_still_every_replica_finds_what_one_has_accepted_and_denies_nothing(
    shared: Cluster,
) -> None:
    urls = shared.stack.replica_urls
    before = shared.settled()
    assert post(urls[0], offer(2001)) == 202
    shared.wait_for_settled(before + 1)
    assert shared.stack.postgres is not None
    shared.stack.postgres.pause()
    try:
        for number in range(2002, 2008):
            assert post(urls[number % 3], offer(number)) == 202
            status, body = get(f"{urls[number % 3]}/payments/{offer(number).correlation_id}")
            assert (status, json.loads(body)["state"]) == (200, "accepted")
            assert statuses(urls, offer(number).correlation_id) == [200, 200, 200]
        assert statuses(urls, uuid4()) == [503, 503, 503]
    finally:
        shared.stack.postgres.resume()
    shared.wait_for_settled(before + 7)


def test_while_redis_is_gone_no_replica_denies_what_another_has_accepted(shared: Cluster) -> None:
    urls = shared.stack.replica_urls
    assert shared.stack.redis is not None
    shared.stack.redis.kill()
    try:
        for number in range(3001, 3001 + POSTS):
            assert post(urls[number % 3], offer(number)) == 202
            assert set(statuses(urls, offer(number).correlation_id)) <= {200, 503}
        assert statuses(urls, uuid4()) == [503, 503, 503]
    finally:
        shared.stack.redis.start()


def test_what_a_killed_replica_has_accepted_is_denied_by_nobody_before_it_is_found(tmp_path: Path) -> None:
    with running_cluster(tmp_path) as cluster:
        urls = cluster.stack.replica_urls
        for simulator in cluster.stack.simulators:
            simulator.kill()
        payments = [offer(number) for number in range(1, 11)]
        assert {post(urls[0], payment) for payment in payments} == {202}
        cluster.stack.replica(1).kill()
        ids = [payment.correlation_id for payment in payments]

        def found() -> bool:
            told = [status for correlation_id in ids for status in statuses(urls[1:], correlation_id)]
            assert set(told) <= {200, 503}
            return set(told) == {200}

        wait_until(found)
