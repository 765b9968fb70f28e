"""The feed of running replicas: each settlement once, whatever happens to who reads it, however they commit."""

import json
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import psycopg
import pytest

from ops.chaostest.workload import OfferedAmount, OfferedPayment
from tests.end_to_end import feed_consumer
from tests.end_to_end.cluster import Cluster, GatewayClient, get, running_cluster
from tests.waiting import wait_until

PAYMENTS = 240
SETTLE = (
    "INSERT INTO settlement (correlation_id, processor, amount_cents, requested_at_ms, attempts)"
    " VALUES (%s, 'p' || pg_backend_pid(), 1, 1, 1)"
)
"""Each connection has sums of its own, so that none waits for another."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


def payments(seed: int, count: int) -> list[OfferedPayment]:
    rng = random.Random(seed)
    return [OfferedPayment(UUID(int=rng.getrandbits(128), version=4), OfferedAmount(1990)) for _ in range(count)]


class Consumer:
    """A process that reads the feed, and what it has kept."""

    def __init__(self, file: Path, urls: list[str]) -> None:
        self.file = file
        self._command = [sys.executable, feed_consumer.__file__, str(file), *urls]
        self.process = self.start()

    def start(self) -> "subprocess.Popen[bytes]":
        self.process = subprocess.Popen(self._command)  # noqa: S603  # our own script
        return self.process

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def events(self) -> list[dict[str, Any]]:
        pages: list[dict[str, Any]] = feed_consumer.pages_of(self.file)
        return [event for page in pages for event in page["events"]]


@contextmanager
def transactions_that_overlap(url: str) -> Iterator[list[UUID]]:
    """Write settlements in transactions that commit in another order than they began, or not at all."""
    rng, stopped, written = random.Random(5), threading.Event(), list[UUID]()

    def run() -> None:
        with ExitStack() as ends:
            connections = [ends.enter_context(psycopg.connect(url)) for _ in range(4)]
            open_ids: dict[int, list[UUID]] = {number: [] for number in range(4)}
            while not stopped.is_set():
                number = rng.randrange(4)
                if rng.random() < 0.6:
                    key = UUID(int=rng.getrandbits(128), version=4)
                    connections[number].execute(SETTLE, [key])
                    open_ids[number].append(key)
                elif rng.random() < 0.8:
                    connections[number].commit()
                    written.extend(open_ids[number])
                    open_ids[number] = []
                else:
                    connections[number].rollback()
                    open_ids[number] = []
                stopped.wait(0.005)
            for number in range(4):
                connections[number].rollback()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield written
    finally:
        stopped.set()
        thread.join()


def has_seen(consumer: Consumer, count: int) -> bool:
    return len(consumer.events()) >= count


def test_a_consumer_that_is_killed_and_hangs_sees_each_settlement_once(cluster: Cluster, tmp_path: Path) -> None:
    urls, postgres = cluster.stack.replica_urls, cluster.stack.postgres
    assert postgres is not None
    consumer = Consumer(tmp_path / "events", urls)
    try:
        with transactions_that_overlap(postgres.url) as written:
            offered = payments(3, PAYMENTS)
            posting = [
                threading.Thread(target=GatewayClient(url).post, args=(offered[number::3],))
                for number, url in enumerate(urls)
            ]
            for number, each in enumerate(posting, 1):
                each.start()
                wait_until(partial(has_seen, consumer, 15 * number))
                consumer.kill()
                consumer.start()
            consumer.process.send_signal(signal.SIGSTOP)
            for each in posting:
                each.join()
            wait_until(lambda: len(written) > 60)
            begun = len(consumer.events())
            consumer.process.send_signal(signal.SIGCONT)
            wait_until(partial(has_seen, consumer, begun + 1))
            consumer.kill()
            consumer.start()
        expected = {*written, *(each.correlation_id for each in offered)}
        wait_until(partial(has_seen, consumer, len(expected)), lambda: str(len(consumer.events())))
        with psycopg.connect(postgres.url) as connection:
            rows = connection.execute("SELECT correlation_id, processor, amount_cents FROM settlement").fetchall()
    finally:
        consumer.kill()
    events = consumer.events()
    assert len({each["cursor"] for each in events}) == len(events) == len(rows)
    told = {(UUID(each["correlationId"]), each["processor"], round(each["amount"] * 100)) for each in events}
    assert told == set(rows)
    assert expected == {row[0] for row in rows}


def read_until(stream: socket.socket, marks: bytes, times: int = 1) -> bytes:
    data = b""
    while data.count(marks) < times:
        more = stream.recv(65536)
        assert more, data
        data += more
    return data


STREAM = "Accept: text/event-stream\r\n"


def ask_for_events(url: str, fields: str = "") -> socket.socket:
    parts = urlsplit(url)
    client = socket.create_connection((parts.hostname or "", parts.port or 0), timeout=30)
    client.sendall(f"GET /payments/events?after=now HTTP/1.1\r\nHost: {parts.netloc}\r\n{fields}\r\n".encode())
    return client


def open_stream(url: str, fields: str = "") -> socket.socket:
    return ask_for_events(url, f"{STREAM}{fields}")


def consumers(url: str) -> int:
    (line,) = [line for line in get(f"{url}/metrics")[1].splitlines() if line.startswith(b"fiel_feed_consumers ")]
    return round(float(line.split()[1]))


@pytest.mark.parametrize("fields", ["", STREAM, f"{STREAM}TE: gzip\r\n"], ids=["poll", "stream", "gunicorn's path"])
def test_who_leaves_gives_its_place_to_others(cluster: Cluster, fields: str) -> None:
    url = cluster.stack.replica_urls[-1]
    clients = [ask_for_events(url, fields) for _ in range(20)]
    wait_until(lambda: consumers(url) == 20)
    for client in clients[:10]:
        client.close()
    for client in clients[10:]:
        client.shutdown(socket.SHUT_WR)
    with ask_for_events(url, fields) as staying:
        wait_until(lambda: consumers(url) == 1)
        staying.shutdown(socket.SHUT_RDWR)
    wait_until(lambda: consumers(url) == 0)
    for client in clients:
        client.close()


@pytest.mark.parametrize("fields", ["", "TE: gzip\r\n"], ids=["fast path", "gunicorn's path"])
def test_a_stream_tells_what_is_settled_on_other_replicas_and_is_no_idle_client(cluster: Cluster, fields: str) -> None:
    first, *_, last = cluster.stack.replica_urls
    with open_stream(first, fields) as stream:
        read_until(stream, b"\n\nid: ")
        offered = payments(len(fields) + 50, 5)
        GatewayClient(last).post(offered)
        told = read_until(stream, b"event: settled", 5)
        assert all(str(each.correlation_id).encode() in told for each in offered)


def test_a_drain_ends_streams_and_long_polls_at_once_and_in_good_order(cluster: Cluster) -> None:
    replica, url = cluster.stack.replica(1), cluster.stack.replica_urls[0]
    newest = json.loads(get(f"{url}/payments/events?after=now&wait=0")[1])["next"]
    answers = []
    polling = threading.Thread(target=lambda: answers.append(get(f"{url}/payments/events?after={newest}&wait=25")))
    with open_stream(url) as stream:
        read_until(stream, b"\n\nid: ")
        polling.start()
        wait_until(lambda: consumers(url) == 2)
        replica.terminate()
        assert read_until(stream, b"0\r\n\r\n").endswith(b"0\r\n\r\n")
        polling.join()
    ((status, _),) = answers
    assert status in {200, 503}
