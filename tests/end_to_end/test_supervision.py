"""Payments that were accepted are charged once even when actors of a running replica fail or hang."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Self
from uuid import UUID

import pytest

from ops.chaostest.client import NoAnswerError, open_connection
from ops.chaostest.workload import OfferedAmount, OfferedPayment
from ops.stack.services import ReplicaProcess
from ops.stack.settings import StackOptions
from ops.stack.stack import Stack
from tests.end_to_end import planted
from tests.end_to_end.cluster import Cluster, get, post_payment
from tests.waiting import WAIT_S_MAX, wait_until

SEED = 20250715


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One gateway for all tests; they plant no fault in its last replica, which is asked what is settled."""
    options = StackOptions.on_reserved_ports(tmp_path_factory.mktemp("cluster"))
    with Stack(replace(options, application="tests.end_to_end.planted:application()")) as stack:
        yield Cluster(stack)


@dataclass
class PersistentClient:
    """Posts each payment until it is accepted, several of them at the same time."""

    url: str
    payments: Sequence[OfferedPayment]
    connections: int
    refusals: list[tuple[int, str | None, bytes]] = field(default_factory=list)
    """The answers that were not 202: status, `Retry-After`, body."""
    accepted: list[OfferedPayment] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(self.connections)
        shares = [self.payments[number :: self.connections] for number in range(self.connections)]
        self._posting = [self._pool.submit(self._post_all, share) for share in shares]
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()
        for share in self._posting:
            share.result()

    def _post_all(self, payments: Sequence[OfferedPayment]) -> None:
        for payment in payments:
            wait_until(partial(self._post, payment), lambda: f"{self.refusals[-5:]}")
            self.accepted.append(payment)

    def _post(self, payment: OfferedPayment) -> bool:
        with open_connection(self.url, WAIT_S_MAX) as connection:
            try:
                answer = post_payment(connection, payment)
            except NoAnswerError:
                return False  # The process has just ended.
        if answer.status != 202:
            self.refusals.append((answer.status, answer.headers.get("retry-after"), answer.body))
        return answer.status == 202


def make_payments(seed: int, count: int) -> list[OfferedPayment]:
    rng = random.Random(seed)
    return [
        OfferedPayment(UUID(int=rng.getrandbits(128), version=4), OfferedAmount(rng.randint(1, 10_000_000)))
        for _ in range(count)
    ]


def plant(cluster: Cluster, number: int, fault: str) -> None:
    path = planted.fault_path(cluster.stack.options.state_dir, str(number))
    whole = path.with_suffix(".new")
    whole.write_text(fault)
    whole.rename(path)


def wait_for_log(replica: ReplicaProcess, text: str) -> None:
    wait_until(lambda: text in replica.output(), lambda: f"{text!r} in{replica.tail()}")


def starts(replica: ReplicaProcess) -> int:
    return replica.output().count("the replica is running")


def wait_for_new_process(replica: ReplicaProcess, starts_before: int) -> None:
    wait_until(lambda: starts(replica) > starts_before, replica.tail)


def check_refusals(client: PersistentClient) -> None:
    assert {(status, retry_after) for status, retry_after, _ in client.refusals} <= {(503, "1")}


def check_charged_once(cluster: Cluster, payments: Sequence[OfferedPayment], settled_before: int) -> None:
    cluster.wait_for_settled(settled_before + len(payments))
    charged = Counter(cluster.charged_ids())
    assert [charged[payment.correlation_id] for payment in payments] == [1] * len(payments)


@pytest.mark.parametrize(
    ("fault", "number", "error"),
    [(planted.RAISE_AFTER_WRITE, 1, "ValueError: planted"), (planted.LEAK_A_TIMEOUT, 2, "gevent.timeout.Timeout")],
)
def test_after_an_actor_has_failed_amid_traffic_the_same_process_goes_on(
    faulty: Cluster, fault: str, number: int, error: str
) -> None:
    replica = faulty.stack.replica(number)
    before, starts_before = faulty.settled(), starts(replica)
    payments = make_payments(SEED + number, 400)
    with PersistentClient(replica.url, payments, connections=8) as client:
        wait_until(lambda: len(client.accepted) > 50)
        plant(faulty, number, fault)
    wait_for_log(replica, '"actors":["persistence"]')
    check_refusals(client)
    check_charged_once(faulty, payments, before)
    wait_until(lambda: get(f"{replica.url}/readyz")[0] == 200)
    assert error in replica.output()
    assert starts(replica) == starts_before


def test_too_many_deaths_end_the_process_and_gunicorn_starts_another(faulty: Cluster) -> None:
    replica = faulty.stack.replica(1)
    before, starts_before = faulty.settled(), starts(replica)
    payments = make_payments(SEED + 3, 100)
    plant(faulty, 1, planted.DIE_AT_EVERY_BEAT)
    with PersistentClient(replica.url, payments, connections=4) as client:
        wait_for_log(replica, '"reason":"lease died 6 times in 60.0 s"')
        planted.fault_path(faulty.stack.options.state_dir, "1").unlink()
        wait_for_new_process(replica, starts_before)
    check_refusals(client)
    check_charged_once(faulty, payments, before)
    assert get(f"{replica.url}/livez")[0] == 200


def test_beyond_a_full_mailbox_post_is_refused_and_the_process_whose_actor_hangs_is_replaced(faulty: Cluster) -> None:
    replica = faulty.stack.replica(2)
    before, starts_before = faulty.settled(), starts(replica)
    payments = make_payments(SEED + 4, 60)
    plant(faulty, 2, planted.HANG_IN_JOURNAL)
    with PersistentClient(replica.url, payments, connections=3 * planted.INBOX_MAX) as client:
        wait_for_log(replica, f'"reason":"for {planted.HANG_S_MAX} s busy with one message: intake with')
        wait_for_new_process(replica, starts_before)
    check_refusals(client)
    assert any(b"too many payments are waiting" in told for _, _, told in client.refusals)
    check_charged_once(faulty, payments, before)
    assert get(f"{replica.url}/livez")[0] == 200
