"""Actors that fail and hang, in running processes: what was accepted is charged once all the same."""

import random
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from http.client import HTTPConnection, HTTPException
from typing import Self
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from ops.stack.services import ReplicaProcess
from ops.stack.stack import Stack
from tests.end_to_end import planted
from tests.end_to_end.house import WAIT_S_MAX, House, Posted, get, make_settings, wait_until

SEED = 20250715


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One gateway for all tests; nothing is ordered for its last replica, which tells what is settled."""
    settings = make_settings(tmp_path_factory.mktemp("house"), {})
    with Stack(replace(settings, application="tests.end_to_end.planted:application()")) as stack:
        yield House(stack)


@dataclass
class PersistentClient:
    """Posts each payment again until it is accepted, over several connections at once."""

    url: str
    payments: Sequence[Posted]
    connections: int
    refusals: list[tuple[int, str | None, bytes]] = field(default_factory=list)
    """What was answered instead: status, `Retry-After`, body."""
    accepted: list[Posted] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._threads = [
            threading.Thread(target=self._post_all, args=(self.payments[i :: self.connections],))
            for i in range(self.connections)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join()

    def _post_all(self, payments: Sequence[Posted]) -> None:
        for payment in payments:
            wait_until(partial(self._post, payment), lambda: f"{self.refusals[-5:]}")
            self.accepted.append(payment)

    def _post(self, payment: Posted) -> bool:
        parts = urlsplit(self.url)
        body, content_type = payment.encode()
        with closing(HTTPConnection(parts.hostname or "", parts.port, timeout=WAIT_S_MAX)) as connection:
            try:
                connection.request("POST", "/payments", body, {"Content-Type": content_type})
                response = connection.getresponse()
                told = response.read()
            except (OSError, HTTPException):
                return False  # The process has just ended.
        if response.status != 202:
            self.refusals.append((response.status, response.headers["Retry-After"], told))
        return response.status == 202


def make_payments(seed: int, count: int) -> list[Posted]:
    rng = random.Random(seed)
    return [Posted(UUID(int=rng.getrandbits(128), version=4), rng.randint(1, 10_000_000)) for _ in range(count)]


def order(one: House, number: int, fault: str) -> None:
    path = planted.fault_path(one.stack.settings.state_dir, str(number))
    whole = path.with_suffix(".new")
    whole.write_text(fault)
    whole.rename(path)


def wait_for_log(part: ReplicaProcess, text: str) -> None:
    wait_until(lambda: text in part.output(), lambda: f"{text!r} in{part.tail()}")


def starts(part: ReplicaProcess) -> int:
    return part.output().count("is at work")


def wait_for_new_process(part: ReplicaProcess, starts_before: int) -> None:
    wait_until(lambda: starts(part) > starts_before, part.tail)


def check_refusals(client: PersistentClient) -> None:
    assert {(status, retry_after) for status, retry_after, _ in client.refusals} <= {(503, "1")}


def check_charged_once(one: House, payments: Sequence[Posted], settled_before: int) -> None:
    one.wait_for_settled(settled_before + len(payments))
    charged = Counter(one.charged_ids())
    assert [charged[payment.correlation_id] for payment in payments] == [1] * len(payments)


@pytest.mark.parametrize(
    ("fault", "number", "error"),
    [(planted.RAISE_AFTER_WRITE, 1, "ValueError: planted"), (planted.LEAK_A_TIMEOUT, 2, "gevent.timeout.Timeout")],
)
def test_after_an_actor_has_failed_amid_traffic_the_same_process_goes_on(
    faulty: House, fault: str, number: int, error: str
) -> None:
    part = faulty.stack.replica(number)
    before, starts_before = faulty.settled(), starts(part)
    payments = make_payments(SEED + number, 400)
    with PersistentClient(part.url, payments, connections=8) as client:
        wait_until(lambda: len(client.accepted) > 50)
        order(faulty, number, fault)
    wait_for_log(part, "persistence died: all actors are restarted")
    check_refusals(client)
    check_charged_once(faulty, payments, before)
    wait_until(lambda: get(f"{part.url}/readyz")[0] == 200)
    assert error in part.output()
    assert starts(part) == starts_before


def test_too_many_deaths_end_the_process_and_gunicorn_starts_another(faulty: House) -> None:
    part = faulty.stack.replica(1)
    before, starts_before = faulty.settled(), starts(part)
    payments = make_payments(SEED + 3, 100)
    order(faulty, 1, planted.DIE_AT_EVERY_BEAT)
    with PersistentClient(part.url, payments, connections=4) as client:
        wait_for_log(part, "this process ends: recovery died 6 times in 60.0 s")
        planted.fault_path(faulty.stack.settings.state_dir, "1").unlink()
        wait_for_new_process(part, starts_before)
    check_refusals(client)
    check_charged_once(faulty, payments, before)
    assert get(f"{part.url}/livez")[0] == 200


def test_beyond_a_full_mailbox_post_is_refused_and_the_process_whose_actor_hangs_is_replaced(faulty: House) -> None:
    part = faulty.stack.replica(2)
    before, starts_before = faulty.settled(), starts(part)
    payments = make_payments(SEED + 4, 60)
    order(faulty, 2, planted.HANG_IN_JOURNAL)
    with PersistentClient(part.url, payments, connections=3 * planted.INBOX_MAX) as client:
        wait_for_log(part, f"this process ends: for {planted.HANG_S_MAX} s busy with one message: intake with")
        wait_for_new_process(part, starts_before)
    check_refusals(client)
    assert any(b"too many payments are waiting" in told for _, _, told in client.refusals)
    check_charged_once(faulty, payments, before)
    assert get(f"{part.url}/livez")[0] == 200
