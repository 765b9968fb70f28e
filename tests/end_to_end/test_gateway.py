"""The whole, by running processes: what the README promises, seen from outside."""

import json
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from tests.end_to_end.house import Client, House, Posted, get, house, post, wait_until

SEED = 20250715
PAYMENTS = 2000
CONNECTIONS = 50


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One gateway for the tests that leave its processes as they are."""
    with house(tmp_path_factory.mktemp("house"), ALLOW_PURGE="1") as one:
        yield one


@pytest.fixture
def emptied(shared: House) -> House:
    """The same, without a payment."""
    assert post(f"{shared.stack.url}/purge-payments")[0] == 204
    for simulator in shared.stack.simulators:
        assert post(f"{simulator.admin_url}/admin/purge-payments")[0] == 200
    return shared


def make_payments(rng: random.Random, count: int) -> list[Posted]:
    """A third in each form."""
    forms = ("json", "map", "array")
    return [
        Posted(UUID(int=rng.getrandbits(128), version=4), rng.randint(1, 10_000_000), forms[i % 3])
        for i in range(count)
    ]


def windows(start: datetime, end: datetime, rng: random.Random) -> list[tuple[str, str]]:
    """Five windows between two instants, to the millisecond."""
    span_ms = int((end - start) / timedelta(milliseconds=1))
    bounds = [sorted(rng.sample(range(span_ms), 2)) for _ in range(4)]
    return [
        (_iso(start + timedelta(milliseconds=low)), _iso(start + timedelta(milliseconds=high)))
        for low, high in [(0, span_ms), *bounds]
    ]


def _iso(instant: datetime) -> str:
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_two_thousand_payments_are_each_charged_once_and_the_books_agree_also_after_a_restart(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    payments = make_payments(rng, PAYMENTS)
    posts = payments + rng.sample(payments, PAYMENTS // 20)
    start = datetime.now(UTC)
    with house(tmp_path) as first:
        client = Client(first.stack.url)
        client.post(posts, CONNECTIONS)
        assert Counter(client.statuses) == {202: len(posts)}
        first.wait_for_settled(PAYMENTS)
        asked = windows(start, datetime.now(UTC), rng)
        before = audit(first, payments, asked)
    with house(tmp_path) as second:
        assert audit(second, payments, asked) == before


def audit(one: House, payments: list[Posted], asked: list[tuple[str, str]]) -> list[object]:
    """Check every id and every window on every replica; give what was found."""
    charges = one.charges()
    expected = sorted((payment.correlation_id, payment.amount_cents) for payment in payments)
    assert sorted((correlation_id, cents) for correlation_id, cents, _ in charges) == expected
    summaries: list[object] = []
    for window in asked:
        told = one.processors_summary(window)
        for url in one.stack.replica_urls:
            assert one.summary(url, window) == told
        summaries.append(told)
    return [sorted(charges), summaries]


def test_a_replica_killed_right_after_its_answers_loses_nothing(tmp_path: Path) -> None:
    payments = make_payments(random.Random(SEED), 200)
    with house(tmp_path) as one:
        client = Client(one.stack.replica_urls[0])
        client.post(payments, connections=10)
        one.stack.replica(1).kill()
        assert Counter(client.statuses) == {202: 200}
        one.stack.replica(1).start()
        one.wait_for_settled(200)
        assert Counter(correlation_id for correlation_id, _, _ in one.charges()) == {
            payment.correlation_id: 1 for payment in payments
        }


def test_while_postgres_is_away_payments_are_accepted_and_the_summary_says_that_it_cannot_tell(tmp_path: Path) -> None:
    payments = make_payments(random.Random(SEED), 100)
    with house(tmp_path) as one:
        assert one.stack.postgres is not None
        one.stack.postgres.kill()
        client = Client(one.stack.url)
        client.post(payments, connections=10)
        assert Counter(client.statuses) == {202: 100}
        status, body = get(f"{one.stack.replica_urls[0]}/payments-summary")
        assert (status, json.loads(body)["title"]) == (503, "Try again")
        status, body = get(f"{one.stack.replica_urls[0]}/readyz")
        assert (status, json.loads(body)["status"]) == (200, "degraded")
        one.stack.postgres.start()
        one.stack.postgres.wait_ready()
        wait_until(lambda: get(f"{one.stack.replica_urls[-1]}/payments-summary")[0] == 200)
        one.wait_for_settled(100)


def test_without_redis_payments_go_their_way(tmp_path: Path) -> None:
    with house(tmp_path) as one:
        assert one.stack.redis is not None
        one.stack.redis.kill()
        client = Client(one.stack.url)
        client.post(make_payments(random.Random(SEED), 50), connections=5)
        assert Counter(client.statuses) == {202: 50}
        one.wait_for_settled(50)
        assert json.loads(get(f"{one.stack.url}/readyz")[1])["status"] == "degraded"


def test_a_graceful_stop_empties_the_journal_and_leaves_the_rest_to_the_next_start(tmp_path: Path) -> None:
    payments = make_payments(random.Random(SEED), 300)
    with house(tmp_path) as one:
        client = Client(one.stack.replica_urls[0])
        client.post(payments, connections=10)
        one.stack.replica(1).stop()
        assert Counter(client.statuses) == {202: 300}
        assert list((tmp_path / "journal" / "1").glob("*.journal")) == []
        one.stack.replica(1).start()
        one.wait_for_settled(300)
        assert len(one.charges()) == 300


def test_a_purge_on_one_replica_empties_all_of_them(emptied: House) -> None:
    client = Client(emptied.stack.url)
    client.post(make_payments(random.Random(SEED), 60), connections=6)
    assert Counter(client.statuses) == {202: 60}
    emptied.wait_for_settled(60)
    assert post(f"{emptied.stack.replica_urls[1]}/purge-payments")[0] == 204
    nothing = {"totalRequests": 0, "totalAmount": 0}
    for url in emptied.stack.replica_urls:
        assert emptied.summary(url) == {"default": nothing, "fallback": nothing}


def test_a_payment_posted_after_a_purge_counts(emptied: House) -> None:
    client = Client(emptied.stack.replica_urls[0])
    for _ in range(2):
        assert post(f"{emptied.stack.replica_urls[2]}/purge-payments")[0] == 204
        client.post([Posted(UUID(int=7, version=4), 1990)])
        emptied.wait_for_settled(1)
    assert client.statuses == [202, 202]


def test_a_payment_tells_how_far_it_is(emptied: House) -> None:
    payment = Posted(UUID(int=8, version=4), 1234)
    url = emptied.stack.replica_urls[0]
    Client(url).post([payment])
    emptied.wait_for_settled(1)
    status, body = get(f"{url}/payments/{payment.correlation_id}")
    told = json.loads(body)
    assert (status, told["amount"], told["state"], told["processor"]) == (200, 12.34, "settled", "default")
    assert told["acceptedAt"] <= told["requestedAt"] <= _iso(datetime.now(UTC))
    assert get(f"{url}/payments/{UUID(int=9, version=4)}")[0] == 404


def test_the_same_id_with_another_amount_is_refused(emptied: House) -> None:
    first, other = Posted(UUID(int=10, version=4), 100), Posted(UUID(int=10, version=4), 200)
    client = Client(emptied.stack.replica_urls[0])
    client.post([first, other, first])
    assert client.statuses == [202, 409, 202]


def test_another_replica_refuses_it_too_once_it_knows_and_the_second_amount_is_never_charged(emptied: House) -> None:
    first, other = Posted(UUID(int=11, version=4), 100), Posted(UUID(int=11, version=4), 200)
    Client(emptied.stack.replica_urls[0]).post([first])
    client = Client(emptied.stack.replica_urls[1])
    wait_until(lambda: last_status(client, other) == 409)
    emptied.wait_for_settled(1)
    assert [(cents, name) for _, cents, name in emptied.charges()] == [(100, "default")]


def last_status(client: Client, payment: Posted) -> int:
    client.post([payment])
    return client.statuses[-1]


def test_the_summary_counts_what_was_stamped_at_its_very_bounds(emptied: House) -> None:
    Client(emptied.stack.url).post([Posted(UUID(int=12, version=4), 1)])
    emptied.wait_for_settled(1)
    told = json.loads(get(f"{emptied.stack.url}/payments/{UUID(int=12, version=4)}")[1])["requestedAt"]
    instant = datetime.fromisoformat(told)
    step = timedelta(milliseconds=1)
    counted = [
        emptied.summary(emptied.stack.url, (_iso(low), _iso(high)))["default"]["totalRequests"]
        for low, high in ((instant, instant), (instant + step, instant + step), (instant - step, instant - step))
    ]
    assert counted == [1, 0, 0]


def test_what_a_replica_that_never_returns_had_accepted_is_settled_by_the_others(tmp_path: Path) -> None:
    payments = make_payments(random.Random(SEED), 200)
    with house(tmp_path) as one:
        client = Client(one.stack.replica_urls[0])
        client.post(payments, connections=10)
        one.stack.replica(1).kill()
        assert Counter(client.statuses) == {202: 200}
        one.wait_for_settled(200)
        assert len(one.charges()) == 200


def test_beyond_its_bound_a_replica_without_postgres_refuses_and_keeps_nothing_of_it(tmp_path: Path) -> None:
    payments = make_payments(random.Random(SEED), 60)
    with house(tmp_path, OPEN_MAX="50") as one:
        assert one.stack.postgres is not None
        one.stack.postgres.kill()
        client = Client(one.stack.replica_urls[0])
        client.post(payments)
        assert Counter(client.statuses) == {202: 50, 503: 10}
        one.stack.postgres.start()
        one.stack.postgres.wait_ready()
        wait_until(lambda: get(f"{one.stack.replica_urls[-1]}/payments-summary")[0] == 200)
        one.wait_for_settled(50)
        assert sorted(one.charged_ids()) == sorted(payment.correlation_id for payment in payments[:50])


def test_while_postgres_stands_still_payments_are_accepted_and_the_summary_is_refused(tmp_path: Path) -> None:
    with house(tmp_path) as one:
        assert one.stack.postgres is not None
        one.stack.postgres.pause()
        client = Client(one.stack.replica_urls[0])
        client.post(make_payments(random.Random(SEED), 20), connections=4)
        assert Counter(client.statuses) == {202: 20}
        assert get(f"{one.stack.replica_urls[0]}/payments-summary")[0] == 503
        one.stack.postgres.resume()
        wait_until(lambda: get(f"{one.stack.replica_urls[-1]}/payments-summary")[0] == 200)
        one.wait_for_settled(20)


def test_a_replica_that_stood_still_while_others_took_over_does_no_harm_when_it_goes_on(tmp_path: Path) -> None:
    payments = make_payments(random.Random(SEED), 200)
    with house(tmp_path) as one:
        client = Client(one.stack.replica_urls[0])
        client.post(payments, connections=10)
        one.stack.replica(1).pause()
        one.wait_for_settled(200)
        one.stack.replica(1).resume()
        client.post(payments[:20])
        assert Counter(client.statuses) == {202: 220}
        one.wait_for_settled(200)
        assert sorted(one.charged_ids()) == sorted(payment.correlation_id for payment in payments)
