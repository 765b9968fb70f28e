"""What the README promises, tested from outside on a gateway of running processes."""

import json
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest
from urllib3.util.connection import HAS_IPV6

from ops.chaostest.workload import BodyFormat, OfferedAmount, OfferedPayment
from tests.end_to_end.cluster import Cluster, GatewayClient, get, post, running_cluster
from tests.waiting import wait_until

CURRENCIES = ("", "", "BRL", "JPY", "KWD")
SEED = 20250715
PAYMENTS = 2000
CONNECTIONS = 50


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One gateway for the tests that need no settings of their own."""
    with running_cluster(tmp_path_factory.mktemp("cluster"), ALLOW_PURGE="1") as cluster:
        yield cluster


@pytest.fixture
def emptied(shared: Cluster) -> Cluster:
    """The shared gateway without any payment, with whatever an earlier test has stopped."""
    assert shared.stack.redis is not None
    for process in (shared.stack.redis, *shared.stack.replicas):
        process.start()
        process.wait_ready()
    assert post(f"{shared.stack.url}/purge-payments")[0] == 204
    for simulator in shared.stack.simulators:
        assert post(f"{simulator.admin_url}/admin/purge-payments")[0] == 200
    # The other replicas learn of the purge's end from Postgres, which a test may take away.
    wait_until(lambda: all(is_ready(url) for url in shared.stack.replica_urls))
    return shared


def two_amounts() -> tuple[OfferedPayment, OfferedPayment]:
    """Offer two amounts under one id."""
    correlation_id = UUID(int=11, version=4)
    return OfferedPayment(correlation_id, OfferedAmount(100)), OfferedPayment(correlation_id, OfferedAmount(200))


def is_ready(replica_url: str) -> bool:
    """Tell whether a replica misses nothing, the other replicas included."""
    return bool(json.loads(get(f"{replica_url}/readyz")[1])["status"] == "ready")


def make_payments(rng: random.Random, count: int) -> list[OfferedPayment]:
    """Draw payments, a third of them for each format, some of them in other currencies."""
    formats = list(BodyFormat)
    return [
        OfferedPayment(
            UUID(int=rng.getrandbits(128), version=4),
            OfferedAmount(rng.randint(1, 10_000_000), rng.choice(CURRENCIES)),
            formats[i % 3],
        )
        for i in range(count)
    ]


def windows(start: datetime, end: datetime, rng: random.Random) -> list[tuple[str, str]]:
    """Draw five windows between two instants, with bounds in whole milliseconds."""
    span_ms = int((end - start) / timedelta(milliseconds=1))
    bounds = [sorted(rng.sample(range(span_ms), 2)) for _ in range(4)]
    return [
        (_iso(start + timedelta(milliseconds=low)), _iso(start + timedelta(milliseconds=high)))
        for low, high in [(0, span_ms), *bounds]
    ]


def _iso(instant: datetime) -> str:
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_two_thousand_payments_are_each_charged_once_and_all_records_agree_even_after_a_restart(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    payments = make_payments(rng, PAYMENTS)
    posts = payments + rng.sample(payments, PAYMENTS // 20)
    start = datetime.now(UTC)
    with running_cluster(tmp_path) as first:
        client = GatewayClient(first.stack.url)
        client.post(posts, CONNECTIONS)
        assert Counter(client.statuses) == {202: len(posts)}
        first.wait_for_settled(PAYMENTS)
        asked = windows(start, datetime.now(UTC), rng)
        before = check_charges(first, payments, asked)
    with running_cluster(tmp_path) as second:
        assert check_charges(second, payments, asked) == before


def check_charges(cluster: Cluster, payments: list[OfferedPayment], asked: list[tuple[str, str]]) -> list[object]:
    """Check every id, and every window on every replica; return what was found."""
    charges = cluster.charges()
    expected = sorted((each.correlation_id, each.amount.minor, each.amount.code) for each in payments)
    assert sorted((correlation_id, minor, code) for correlation_id, minor, code, _ in charges) == expected
    summaries: list[object] = []
    for window in asked:
        booked = cluster.processors_summary(window)
        for url in cluster.stack.replica_urls:
            assert cluster.summary(url, window) == booked
        summaries.append(booked)
    return [sorted(charges), summaries]


def test_a_replica_killed_right_after_its_answers_loses_nothing(emptied: Cluster) -> None:
    payments = make_payments(random.Random(SEED), 200)
    client = GatewayClient(emptied.stack.replica_urls[0])
    client.post(payments, connections=10)
    emptied.stack.replica(1).kill()
    assert Counter(client.statuses) == {202: 200}
    emptied.stack.replica(1).start()
    emptied.wait_for_settled(200)
    assert Counter(correlation_id for correlation_id, *_ in emptied.charges()) == {
        payment.correlation_id: 1 for payment in payments
    }


def test_without_postgres_payments_are_accepted_and_the_summary_is_answered_503(tmp_path: Path) -> None:
    payments = make_payments(random.Random(SEED), 100)
    with running_cluster(tmp_path) as cluster:
        assert cluster.stack.postgres is not None
        cluster.stack.postgres.kill()
        client = GatewayClient(cluster.stack.url)
        client.post(payments, connections=10)
        assert Counter(client.statuses) == {202: 100}
        status, body = get(f"{cluster.stack.replica_urls[0]}/payments-summary")
        assert (status, json.loads(body)["title"]) == (503, "Try again")
        status, body = get(f"{cluster.stack.replica_urls[0]}/readyz")
        assert (status, json.loads(body)["status"]) == (200, "degraded")
        cluster.stack.postgres.start()
        cluster.stack.postgres.wait_ready()
        wait_until(lambda: get(f"{cluster.stack.replica_urls[-1]}/payments-summary")[0] == 200)
        cluster.wait_for_settled(100)


def test_without_redis_payments_are_settled(emptied: Cluster) -> None:
    assert emptied.stack.redis is not None
    emptied.stack.redis.kill()
    client = GatewayClient(emptied.stack.url)
    client.post(make_payments(random.Random(SEED), 50), connections=5)
    assert Counter(client.statuses) == {202: 50}
    emptied.wait_for_settled(50)
    assert json.loads(get(f"{emptied.stack.url}/readyz")[1])["status"] == "degraded"


def test_a_graceful_stop_settles_what_can_be_settled_and_empties_the_journal(emptied: Cluster) -> None:
    payments = make_payments(random.Random(SEED), 300)
    client = GatewayClient(emptied.stack.replica_urls[0])
    client.post(payments, connections=10)
    emptied.stack.replica(1).stop()
    assert Counter(client.statuses) == {202: 300}
    # What was not settled in time is in Postgres, and others settle it.
    assert list((emptied.stack.options.state_dir / "journal" / "1").glob("*.journal")) == []
    wait_until(lambda: emptied.settled() == 300)
    assert len(emptied.charges()) == 300


def test_a_purge_on_one_replica_empties_all_of_them(emptied: Cluster) -> None:
    client = GatewayClient(emptied.stack.url)
    client.post(make_payments(random.Random(SEED), 60), connections=6)
    assert Counter(client.statuses) == {202: 60}
    emptied.wait_for_settled(60)
    assert post(f"{emptied.stack.replica_urls[1]}/purge-payments")[0] == 204
    nothing = {"totalRequests": 0, "totalAmount": 0}
    for url in emptied.stack.replica_urls:
        assert emptied.summary(url) == {"default": nothing, "fallback": nothing}


def test_a_payment_posted_after_a_purge_counts(emptied: Cluster) -> None:
    client = GatewayClient(emptied.stack.replica_urls[0])
    for _ in range(2):
        assert post(f"{emptied.stack.replica_urls[2]}/purge-payments")[0] == 204
        client.post([OfferedPayment(UUID(int=7, version=4), OfferedAmount(1990))])
        emptied.wait_for_settled(1)
    assert client.statuses == [202, 202]


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        pytest.param("[::1]", marks=pytest.mark.skipif(not HAS_IPV6, reason="this machine has no IPv6")),
    ],
)
def test_a_gateway_listens_on_both_families(emptied: Cluster, host: str) -> None:
    client = GatewayClient(f"http://{host}:{emptied.stack.options.port}")
    client.post([OfferedPayment(UUID(int=6, version=4), OfferedAmount(1990))])
    assert client.statuses == [202]


def test_the_state_of_a_payment_can_be_asked_for(emptied: Cluster) -> None:
    payment = OfferedPayment(UUID(int=8, version=4), OfferedAmount(1234))
    url = emptied.stack.replica_urls[0]
    GatewayClient(url).post([payment])
    emptied.wait_for_settled(1)
    status, body = get(f"{url}/payments/{payment.correlation_id}")
    told = json.loads(body)
    assert (status, told["amount"], told["state"], told["processor"]) == (200, 12.34, "settled", "default")
    assert told["acceptedAt"] <= told["requestedAt"] <= _iso(datetime.now(UTC))
    assert get(f"{url}/payments/{UUID(int=9, version=4)}")[0] == 404


def test_the_same_id_with_another_amount_is_refused(emptied: Cluster) -> None:
    first, other = two_amounts()
    client = GatewayClient(emptied.stack.replica_urls[0])
    client.post([first, other, first])
    assert client.statuses == [202, 409, 202]


def test_another_replica_refuses_the_other_amount_too_once_it_knows_the_id(emptied: Cluster) -> None:
    first, other = two_amounts()
    GatewayClient(emptied.stack.replica_urls[0]).post([first])
    emptied.wait_for_settled(1)
    client = GatewayClient(emptied.stack.replica_urls[1])
    wait_until(lambda: last_status(client, other) == 409)
    assert [(cents, name) for _, cents, _, name in emptied.charges()] == [(100, "default")]


def test_a_payment_without_a_currency_is_in_the_operators_and_processors_are_told_of_every_other(
    tmp_path: Path,
) -> None:
    plain, yen, reais = (UUID(int=number, version=4) for number in (21, 22, 23))
    with running_cluster(tmp_path, CURRENCY="jpy") as cluster:
        client = GatewayClient(cluster.stack.url)
        client.post(
            [
                OfferedPayment(plain, OfferedAmount(199_000)),
                OfferedPayment(yen, OfferedAmount(1990, "JPY")),
                OfferedPayment(reais, OfferedAmount(1990, "BRL")),
                OfferedPayment(UUID(int=24, version=4), OfferedAmount(1990)),
            ]
        )
        # The last one has decimals, which yen have not.
        assert client.statuses == [202, 202, 202, 400]
        cluster.wait_for_settled(3)
        url = cluster.stack.url
        told = [json.loads(get(f"{url}/payments/{each}")[1]) for each in (plain, yen, reais)]
        assert [(each["amount"], each["currency"]) for each in told] == [(1990, "JPY"), (1990, "JPY"), (19.9, "BRL")]
        summary = cluster.summary(url)
        assert summary["default"] == {"totalRequests": 2, "totalAmount": 3980}
        assert summary["currencies"]["BRL"]["default"] == {"totalRequests": 1, "totalAmount": 19.9}
        listed = [
            json.loads(line) for line in get(f"{cluster.stack.simulators[0].admin_url}/admin/payments")[1].splitlines()
        ]
        assert {each["correlationId"]: each.get("currency") for each in listed} == {
            str(plain): None,
            str(yen): None,
            str(reais): "BRL",
        }


def is_accepted(client: GatewayClient, payment: OfferedPayment) -> bool:
    return last_status(client, payment) == 202


def last_status(client: GatewayClient, payment: OfferedPayment) -> int:
    client.post([payment])
    return client.statuses[-1]


def test_the_bounds_of_a_summary_are_inclusive(emptied: Cluster) -> None:
    GatewayClient(emptied.stack.url).post([OfferedPayment(UUID(int=12, version=4), OfferedAmount(1))])
    emptied.wait_for_settled(1)
    told = json.loads(get(f"{emptied.stack.url}/payments/{UUID(int=12, version=4)}")[1])["requestedAt"]
    instant = datetime.fromisoformat(told)
    step = timedelta(milliseconds=1)
    counted = [
        emptied.summary(emptied.stack.url, (_iso(low), _iso(high)))["default"]["totalRequests"]
        for low, high in ((instant, instant), (instant + step, instant + step), (instant - step, instant - step))
    ]
    assert counted == [1, 0, 0]


def test_what_a_replica_that_never_returns_had_accepted_is_settled_by_the_others(emptied: Cluster) -> None:
    payments = make_payments(random.Random(SEED), 200)
    client = GatewayClient(emptied.stack.replica_urls[0])
    client.post(payments, connections=10)
    emptied.stack.replica(1).kill()
    assert Counter(client.statuses) == {202: 200}
    emptied.wait_for_settled(200)
    assert len(emptied.charges()) == 200


def test_a_full_replica_without_postgres_refuses_payments_and_keeps_nothing_of_them(tmp_path: Path) -> None:
    payments = make_payments(random.Random(SEED), 60)
    with running_cluster(tmp_path, OPEN_MAX="50") as cluster:
        assert cluster.stack.postgres is not None
        cluster.stack.postgres.kill()
        client = GatewayClient(cluster.stack.replica_urls[0])
        client.post(payments)
        assert Counter(client.statuses) == {202: 50, 503: 10}
        cluster.stack.postgres.start()
        cluster.stack.postgres.wait_ready()
        wait_until(lambda: get(f"{cluster.stack.replica_urls[-1]}/payments-summary")[0] == 200)
        cluster.wait_for_settled(50)
        assert sorted(cluster.charged_ids()) == sorted(payment.correlation_id for payment in payments[:50])


def test_while_postgres_is_paused_payments_are_accepted_and_the_summary_is_refused(emptied: Cluster) -> None:
    assert emptied.stack.postgres is not None
    emptied.stack.postgres.pause()
    client = GatewayClient(emptied.stack.replica_urls[0])
    client.post(make_payments(random.Random(SEED), 20), connections=4)
    assert Counter(client.statuses) == {202: 20}
    assert get(f"{emptied.stack.replica_urls[0]}/payments-summary")[0] == 503
    emptied.stack.postgres.resume()
    wait_until(lambda: get(f"{emptied.stack.replica_urls[-1]}/payments-summary")[0] == 200)
    emptied.wait_for_settled(20)


def test_a_replica_that_was_paused_while_others_took_over_does_no_harm_when_it_continues(emptied: Cluster) -> None:
    payments = make_payments(random.Random(SEED), 200)
    client = GatewayClient(emptied.stack.replica_urls[0])
    client.post(payments, connections=10)
    emptied.stack.replica(1).pause()
    emptied.wait_for_settled(200)
    emptied.stack.replica(1).resume()
    assert Counter(client.statuses) == {202: 200}
    for payment in payments[:20]:
        # Until it has noticed that it lost its lease and started again, the replica may refuse payments.
        wait_until(partial(is_accepted, client, payment))
    emptied.wait_for_settled(200)
    assert sorted(emptied.charged_ids()) == sorted(payment.correlation_id for payment in payments)
