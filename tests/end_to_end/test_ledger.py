"""`DURABILITY=ledger` and `ledger,fsync`: what a 202 survives, and what is answered while Postgres is away."""

import json
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from ops.chaostest.client import HttpAnswer, administer, open_connection
from ops.chaostest.workload import OfferedAmount, OfferedPayment
from ops.stack.services import ReplicaProcess
from ops.stack.settings import StackOptions
from ops.stack.stack import Stack
from tests.end_to_end.cluster import Cluster, get, post_payment
from tests.waiting import wait_until

PAYMENTS = 200
CONNECTIONS = 10


def offered(rng: random.Random, count: int) -> list[OfferedPayment]:
    return [OfferedPayment(UUID(int=rng.getrandbits(128), version=4), OfferedAmount(1990)) for _ in range(count)]


@contextmanager
def hosts(state_dir: Path, durability: str, replicas: int) -> Iterator[Cluster]:
    """Run replicas that cannot reach each other's journals."""
    options = StackOptions.on_reserved_ports(state_dir, {"DURABILITY": durability, "OUTAGE_PATIENCE_MS": "1000"})
    with Stack(replace(options, replicas=replicas, separate_journals=True)) as stack:
        yield Cluster(stack)


def post_all(url: str, payments: list[OfferedPayment]) -> list[HttpAnswer]:
    def post(share: list[OfferedPayment]) -> list[HttpAnswer]:
        with open_connection(url, 30) as connection:
            return [post_payment(connection, payment) for payment in share]

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        shares = pool.map(post, [payments[number::CONNECTIONS] for number in range(CONNECTIONS)])
        return [answer for share in shares for answer in share]


def kinds(answers: list[HttpAnswer]) -> set[tuple[int, str | None]]:
    return {(answer.status, answer.headers.get("durability")) for answer in answers}


def let_processors(cluster: Cluster, *, refuse: bool) -> None:
    for simulator in cluster.stack.simulators:
        administer(simulator.admin_url, "PUT", "/admin/faults", json.dumps({"refuse": refuse}).encode())


def test_payments_of_a_host_that_is_lost_with_its_disk_are_charged_once(tmp_path: Path) -> None:
    rng = random.Random(61)
    payments = offered(rng, PAYMENTS)
    with hosts(tmp_path, "ledger", replicas=2) as cluster:
        let_processors(cluster, refuse=True)
        answers = post_all(cluster.stack.replica(1).url, payments)
        assert kinds(answers) == {(202, "ledger")}
        cluster.stack.replica(1).kill()
        shutil.rmtree(ReplicaProcess.journals_of(1, cluster.stack.options))
        let_processors(cluster, refuse=False)
        cluster.wait_for_settled(PAYMENTS)
        assert Counter(cluster.charged_ids()) == Counter(payment.correlation_id for payment in payments)


def test_without_postgres_nothing_is_promised_and_nothing_is_kept(tmp_path: Path) -> None:
    rng = random.Random(62)
    with hosts(tmp_path, "ledger", replicas=1) as cluster:
        assert cluster.stack.postgres is not None
        url = cluster.stack.replica(1).url
        first = offered(rng, 20)
        assert kinds(post_all(url, first)) == {(202, "ledger")}
        cluster.wait_for_settled(20)
        cluster.stack.postgres.kill()
        in_doubt = post_all(url, doubted := offered(rng, 1))
        assert {answer.status for answer in in_doubt} <= {503, 504}
        refused = post_all(url, offered(rng, 20))
        assert kinds(refused) == {(503, None)}
        assert {answer.headers["retry-after"] for answer in (*in_doubt, *refused)} == {"1"}
        assert get(f"{url}/readyz")[0] == 503
        cluster.stack.postgres.start()
        wait_until(lambda: get(f"{url}/readyz")[0] == 200)
        assert kinds(post_all(url, doubted)) == {(202, "ledger")}
        cluster.wait_for_settled(21)
        ids = {payment.correlation_id for payment in (*first, *doubted)}
        assert Counter(cluster.charged_ids()) == Counter(ids), "what was refused was never charged"


def test_without_postgres_the_journal_takes_over_where_it_may(tmp_path: Path) -> None:
    rng = random.Random(63)
    payments = offered(rng, 60)
    with hosts(tmp_path, "ledger,fsync", replicas=1) as cluster:
        assert cluster.stack.postgres is not None
        replica = cluster.stack.replica(1)
        assert kinds(post_all(replica.url, payments[:20])) == {(202, "ledger")}
        cluster.stack.postgres.kill()
        assert kinds(post_all(replica.url, payments[20:40])) == {(202, "fsync")}
        assert get(f"{replica.url}/readyz")[0] == 200
        # What it took meanwhile stands in its journal alone.
        replica.kill()
        cluster.stack.postgres.start()
        replica.start()
        replica.wait_ready()
        wait_until(lambda: kinds(post_all(replica.url, payments[40:])) == {(202, "ledger")})
        cluster.wait_for_settled(60)
        assert Counter(cluster.charged_ids()) == Counter(payment.correlation_id for payment in payments)
