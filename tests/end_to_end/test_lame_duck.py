"""A replica that is told to end may take payments for a while, charges what waits, and ends in good order."""

import json
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from actors.replica import LAME_DUCK
from ops.chaostest.client import NoAnswerError, administer, open_connection
from ops.chaostest.workload import OfferedAmount, OfferedPayment
from ops.stack.services import ReplicaProcess
from tests.end_to_end.cluster import Cluster, get, post_payment, running_cluster
from tests.waiting import WAIT_S_MAX, wait_until

FOR_EVER_MS = "3600000"
PAYMENTS = 50


def readiness(url: str) -> tuple[int, str | None]:
    """Ask whether a replica is ready, and what keeps the whole of it from that."""
    status, body = get(f"{url}/readyz")
    return status, json.loads(body)["parts"].get("gateway")


def is_unready(url: str) -> bool:
    return readiness(url)[0] == 503


def post_on_new_connections(url: str, first: int) -> list[tuple[int, str | None]]:
    """Post payments, each over a connection of its own; return status and `Connection` of each answer."""
    answers = []
    for number in range(first, first + PAYMENTS):
        with open_connection(url, WAIT_S_MAX) as connection:
            payment = OfferedPayment(UUID(int=number, version=4), OfferedAmount(1990))
            answer = post_payment(connection, payment)
            answers.append((answer.status, answer.headers.get("connection")))
    return answers


def has_left(cluster: Cluster, name: str) -> bool:
    """Tell whether a replica has no lease any more: it gave it up, or others have ended it after a while."""
    assert cluster.stack.postgres is not None
    with psycopg.connect(cluster.stack.postgres.url) as connection:
        row = connection.execute("SELECT left_epoch >= epoch FROM replica WHERE name = %s", [name]).fetchone()
    return row is not None and bool(row[0])


def refuse(cluster: Cluster, *, refuse: bool) -> None:
    """Let all processors refuse connections, or take them again."""
    for simulator in cluster.stack.simulators:
        administer(simulator.admin_url, "PUT", "/admin/faults", json.dumps({"refuse": refuse}).encode())


def is_closed(url: str) -> bool:
    """Tell whether a replica takes no connections any more."""
    with suppress(NoAnswerError):
        get(f"{url}/livez")
        return False
    return True


def end_at_once(replicas: Sequence[ReplicaProcess]) -> None:
    """End replicas that would be lame ducks for ever."""
    for replica in replicas:
        replica.terminate()
    for replica in replicas:
        wait_until(partial(is_unready, replica.url))
        replica.stop()


def test_a_lame_duck_takes_every_payment_and_gives_up_its_lease_at_the_end(tmp_path: Path) -> None:
    with running_cluster(tmp_path, LAME_DUCK_MS=FOR_EVER_MS) as cluster:
        replicas = [cluster.stack.replica(number) for number in (1, 2, 3)]
        try:
            before = post_on_new_connections(replicas[0].url, 1)
            replicas[0].terminate()
            wait_until(partial(is_unready, replicas[0].url))
            after = post_on_new_connections(replicas[0].url, 1 + PAYMENTS)
            assert set(before) == {(202, "keep-alive")}
            assert set(after) == {(202, "close")}
            assert readiness(replicas[0].url) == (503, LAME_DUCK)
            assert get(f"{replicas[0].url}/livez")[0] == 200
            assert not has_left(cluster, "1")
            # Nobody takes over what it has accepted: it is charged as always.
            cluster.wait_for_settled(2 * PAYMENTS)
            replicas[0].stop()
            assert replicas[0].exit_status == 0
            assert has_left(cluster, "1")
            assert "the lease could not be given up: it runs out" not in replicas[0].output()
        finally:
            end_at_once(replicas[1:])
        assert len(cluster.charged_ids()) == 2 * PAYMENTS


@pytest.mark.parametrize(("settle_ms", "is_settled"), [(FOR_EVER_MS, True), ("0", False)])
def test_a_replica_that_ends_charges_what_waits_in_its_journal_as_long_as_it_may(
    tmp_path: Path, settle_ms: str, *, is_settled: bool
) -> None:
    with running_cluster(tmp_path, SETTLE_MS=settle_ms) as cluster:
        replica = cluster.stack.replica(1)
        refuse(cluster, refuse=True)
        post_on_new_connections(replica.url, 1)
        replica.terminate()
        wait_until(partial(is_closed, replica.url))
        if is_settled:
            refuse(cluster, refuse=False)
        wait_until(lambda: replica.exit_status == 0)
        assert len(cluster.charged_ids()) == cluster.settled() == (PAYMENTS if is_settled else 0)
        if is_settled:
            assert "payments may be in this journal alone" not in replica.output()
        else:
            # What it left in its journal and in Postgres is for others.
            refuse(cluster, refuse=False)
            cluster.wait_for_settled(PAYMENTS)
            assert len(cluster.charged_ids()) == PAYMENTS
