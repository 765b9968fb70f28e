"""Replicas are stopped and started under clients that keep their connections: no request fails."""

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from random import Random
from uuid import UUID

import pytest

from ops.chaostest.client import open_connection
from ops.chaostest.workload import OfferedAmount, OfferedPayment
from ops.stack.process import ManagedProcess
from tests.end_to_end.cluster import Cluster, GatewayClient, post_payment, running_cluster
from tests.waiting import wait_until

pytestmark = pytest.mark.long

CLIENTS = 30
PAUSE_S_MAX = 0.4
"""Longest pause of a client between two payments; idle connections are kept for a second at a stop."""
SEED = 20250715
TURNED_AWAY = ("ConnectionRefusedError", "ConnectionResetError")


class Load:
    """Clients that each post one payment after another, and keep their connection until they are told of its end."""

    def __init__(self, url: str) -> None:
        self.statuses: Counter[int] = Counter()
        self.failures: list[str] = []
        self._url = url
        self._ended = threading.Event()

    def end(self) -> None:
        """Let all clients end after their present payment."""
        self._ended.set()

    def post(self, seed: int) -> None:
        """Be one client, until `end`."""
        rng = Random(seed)
        with open_connection(self._url) as connection:
            while not self._ended.wait(rng.uniform(0, PAUSE_S_MAX)):
                payment = OfferedPayment(UUID(int=rng.getrandbits(128), version=4), OfferedAmount(1990))
                is_new = not connection.is_connected
                try:
                    self.statuses[post_payment(connection, payment).status] += 1
                except Exception as error:  # noqa: BLE001  # whatever it is, the request failed
                    # The kernel turns new connections away while nobody listens: nothing was sent, or it was not read.
                    if not (is_new and str(error).startswith(TURNED_AWAY)):
                        self.failures.append(str(error))


def restart(cluster: Cluster, number: int, load: Load) -> None:
    """Stop a replica by SIGTERM under load, and start it again."""
    replica = cluster.stack.replica(number)
    before = load.statuses.total()
    wait_until(lambda: load.statuses.total() > before + CLIENTS)
    replica.stop()
    assert replica.exit_status == 0
    replica.start()
    replica.wait_ready()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One gateway: all tests leave its replicas running."""
    with running_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


def test_no_request_fails_while_replicas_are_restarted_one_after_another(shared: Cluster) -> None:
    settled_before = shared.settled()
    with ThreadPoolExecutor(CLIENTS) as pool:
        load = Load(shared.stack.url)
        try:
            ends = [pool.submit(load.post, SEED + number) for number in range(CLIENTS)]
            for number in (1, 2, 3):
                restart(shared, number, load)
        finally:
            load.end()
        for end in ends:
            end.result()
        assert load.failures == []
        assert load.statuses.keys() == {202}
        shared.wait_for_settled(settled_before + load.statuses[202])


def test_a_hang_up_starts_the_worker_of_a_replica_anew_and_fails_no_request(shared: Cluster) -> None:
    settled_before = shared.settled()
    with ThreadPoolExecutor(CLIENTS) as pool:
        replica = shared.stack.replica(1)
        before = workers_of(replica)
        load = Load(replica.url)
        try:
            ends = [pool.submit(load.post, 2 * SEED + number) for number in range(CLIENTS)]
            wait_until(lambda: load.statuses[202] > CLIENTS)
            signal_to(replica, signal.SIGHUP)
            wait_until(lambda: len(workers_of(replica)) == 1 and workers_of(replica) != before)
            answered = load.statuses.total()
            wait_until(lambda: load.statuses.total() > answered + CLIENTS)
        finally:
            load.end()
        for end in ends:
            end.result()
        assert load.failures == []
        assert load.statuses.keys() == {202}
        shared.wait_for_settled(settled_before + load.statuses[202])


def test_a_hot_upgrade_is_refused_and_leaves_the_replica_unharmed(shared: Cluster) -> None:
    replica = shared.stack.replica(1)
    before, settled_before = workers_of(replica), shared.settled()
    for count in (1, 2):
        signal_to(replica, signal.SIGUSR2)
        wait_until(partial(has_refused, replica, count), replica.output)
        wait_until(lambda: workers_of(replica) == before)
    GatewayClient(replica.url).post([OfferedPayment(UUID(int=1, version=4), OfferedAmount(1990))])
    shared.wait_for_settled(settled_before + 1)


def has_refused(replica: ManagedProcess, count: int) -> bool:
    """Tell whether the replica has refused this many hot upgrades."""
    return replica.output().count("SIGUSR2 is refused") == count


def signal_to(replica: ManagedProcess, number: signal.Signals) -> None:
    """Send a signal to gunicorn's master."""
    assert replica.pid is not None
    os.kill(replica.pid, number)


def workers_of(replica: ManagedProcess) -> list[str]:
    """List the ids of the processes whose parent is gunicorn's master."""
    return Path(f"/proc/{replica.pid}/task/{replica.pid}/children").read_text().split()
