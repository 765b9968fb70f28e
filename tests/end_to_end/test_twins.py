"""Two replicas that were given the same name, with journals of their own, beside a client that posts."""

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import psycopg
import pytest

from ops.chaostest.client import HttpAnswer, NoAnswerError, open_connection
from ops.stack.ports import reserve_ports
from ops.stack.services import ReplicaProcess
from ops.stack.settings import StackOptions
from ops.stack.stack import Stack
from tests.end_to_end.cluster import Cluster, GatewayClient, get, post_payment
from tests.end_to_end.test_supervision import make_payments, starts
from tests.waiting import WAIT_S_MAX, wait_until

SEED = 22
BEATS = 40
"""Ten seconds of them: two processes that took the name from each other made 20 epochs in that time."""
SETTINGS = {"CHARGE_TIMEOUT_MS": "2000", "PROCESSOR_DELAY_MAX_MS": "1000"}


@contextmanager
def one_replica(state_dir: Path) -> Iterator[Cluster]:
    options = StackOptions.on_reserved_ports(state_dir / "stack", SETTINGS)
    with Stack(replace(options, replicas=1)) as stack:
        yield Cluster(stack)


@contextmanager
def twin_of(cluster: Cluster, state_dir: Path) -> Iterator[ReplicaProcess]:
    """Run another replica with the first one's name, and with what stands in its folder as its journals."""
    options = replace(cluster.stack.options, port=reserve_ports(2)[0], state_dir=state_dir)
    environment = {**cluster.stack.replica_environment(), "JOURNAL_DIR": str(state_dir / "journal")}
    process = ReplicaProcess(1, options, environment)
    process.start()
    try:
        yield process
    finally:
        process.stop()


def lease(cluster: Cluster) -> tuple[int, int]:
    """Read the epoch and the beats under the name that both have."""
    assert cluster.stack.postgres is not None
    with psycopg.connect(cluster.stack.postgres.url) as connection:
        row = connection.execute("SELECT epoch, beats FROM replica WHERE name = '1'").fetchone()
    assert row is not None
    return row


def wait_for_beats(cluster: Cluster) -> None:
    _, before = lease(cluster)
    wait_until(lambda: lease(cluster)[1] >= before + BEATS, lambda: str(lease(cluster)))


def is_kept_out(process: ReplicaProcess) -> bool:
    try:
        status, body = get(f"{process.url}/readyz")
    except NoAnswerError:
        return False
    return status == 503 and "another process" in json.loads(body)["parts"].get("gateway", "")


def wait_until_kept_out(process: ReplicaProcess) -> None:
    wait_until(lambda: is_kept_out(process), process.tail)
    assert get(f"{process.url}/livez")[0] == 200


def refuse(process: ReplicaProcess) -> HttpAnswer:
    """Post a payment, and check that it is refused at once."""
    began_s = time.monotonic()
    with open_connection(process.url, WAIT_S_MAX) as connection:
        answer = post_payment(connection, make_payments(SEED + 9, 1)[0])
    assert time.monotonic() - began_s < 1.0
    return answer


@contextmanager
def steady_posts(cluster: Cluster, count: int) -> Iterator[GatewayClient]:
    """Post to the first replica, again and again until the block ends; each payment is new."""
    client, ended = GatewayClient(cluster.stack.replica_urls[0]), Event()
    payments = iter(make_payments(SEED, count))

    def post_on() -> None:
        while not ended.wait(0.02):
            client.post([next(payments)])

    thread = Thread(target=post_on)
    thread.start()
    try:
        yield client
    finally:
        ended.set()
        thread.join()


@pytest.mark.long
def test_a_second_process_with_a_name_waits_for_the_lease_of_the_first_one_and_disturbs_nobody(tmp_path: Path) -> None:
    with one_replica(tmp_path) as cluster:
        first = cluster.stack.replica(1)
        epoch, _ = lease(cluster)
        with steady_posts(cluster, 10_000) as client, twin_of(cluster, tmp_path / "twin") as twin:
            wait_until_kept_out(twin)
            wait_for_beats(cluster)
            assert lease(cluster)[0] == epoch
            assert (refuse(twin).status, refuse(twin).headers["retry-after"]) == (503, "1")
            # It knows of nobody's payments, and so denies none.
            assert get(f"{twin.url}/payments/{make_payments(SEED + 8, 1)[0].correlation_id}")[0] == 503
            assert (twin.output().count("another process"), twin.output().count("this process ends")) == (1, 0)
        posted = len(client.statuses)
        assert set(client.statuses) == {202}
        assert (starts(first), "died" in first.output()) == (1, False)
        cluster.wait_for_settled(posted)


@pytest.mark.long
def test_it_takes_the_name_after_the_lease_and_settles_what_is_left_and_who_returns_waits(tmp_path: Path) -> None:
    with one_replica(tmp_path) as cluster:
        first = cluster.stack.replica(1)
        epoch, _ = lease(cluster)
        with twin_of(cluster, tmp_path / "twin") as twin:
            wait_until_kept_out(twin)
            for simulator in cluster.stack.simulators:
                simulator.pause()
            GatewayClient(first.url).post(make_payments(SEED, 5))
            wait_until(lambda: cluster.named_rows() == 5)
            first.kill()
            for simulator in cluster.stack.simulators:
                simulator.resume()
            twin.wait_ready()
            # One for the end of the lease, one for the registration.
            assert lease(cluster)[0] == epoch + 2
            wait_until(lambda: cluster.named_rows() == 0)
            first.start()
            wait_until_kept_out(first)
            GatewayClient(twin.url).post(make_payments(SEED + 1, 5))
            wait_for_beats(cluster)
            assert lease(cluster)[0] == epoch + 2
            assert is_kept_out(first)
            assert sorted(cluster.charged_ids()) == sorted(
                each.correlation_id for each in make_payments(SEED, 5) + make_payments(SEED + 1, 5)
            )


def test_of_two_processes_with_one_copied_journal_one_is_kept_out(tmp_path: Path) -> None:
    with one_replica(tmp_path) as cluster:
        first = cluster.stack.replica(1)
        epoch, _ = lease(cluster)
        shutil.copytree(tmp_path / "stack" / "journal", tmp_path / "twin" / "journal")
        with twin_of(cluster, tmp_path / "twin") as twin:
            # It cannot be told from the first one after a restart.
            twin.wait_ready()
            wait_until_kept_out(first)
            wait_for_beats(cluster)
            assert lease(cluster)[0] == epoch + 1
            assert (twin.ready(), is_kept_out(first)) == (True, True)
            assert (starts(twin), first.output().count("this process ends")) == (1, 0)
            assert "forgotten" not in first.output() + twin.output()


@pytest.mark.long
def test_a_restart_takes_the_name_at_once_beside_nobody(tmp_path: Path) -> None:
    with one_replica(tmp_path) as cluster:
        first = cluster.stack.replica(1)
        epoch, _ = lease(cluster)
        first.kill()
        first.start()
        first.wait_ready()
        assert lease(cluster)[0] == epoch + 1
        assert "another process" not in first.output()
