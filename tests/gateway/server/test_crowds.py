"""Idle, slow and deaf clients take no room from others."""

import contextlib
import json
import os
import select
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from gateway.server.admission import UNFINISHED_BYTES_MAX, UNTAKEN_BYTES_MAX
from tests.gateway.server.serving import DEADLINE_S, FAST, HOST, LARGE_BYTES, Client, Server, post, serving

CONNECTIONS_MAX = 40
MANY = 5 * CONNECTIONS_MAX
NEW_CLIENTS = 30


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A worker with room for few connections."""
    with serving(tmp_path_factory.mktemp("small"), FAST, more=f"worker_connections = {CONNECTIONS_MAX}\n") as server:
        yield server


@pytest.fixture
def crowd() -> Iterator[ExitStack]:
    with ExitStack() as clients:
        yield clients


def fill(server: Server, crowd: ExitStack, data: bytes = b"", count: int = MANY) -> list[Client]:
    """Connect many clients that send the same, and wait until the worker has them."""
    clients = []
    for _ in range(count):
        client = crowd.enter_context(server.connect())
        with contextlib.suppress(ConnectionError):
            client.send(data)
        clients.append(client)
    return clients


def serves_new_clients(server: Server) -> None:
    for _ in range(NEW_CLIENTS):
        with server.connect() as client:
            assert client.get("/tell").status == 200


def ended(clients: list[Client], wait_s: float = 0) -> list[Client]:
    """Those that the server has answered or ended by now; waits for a first one."""
    # Where a test's process has over a thousand files open, `select` fails.
    poll = select.poll()
    for client in clients:
        poll.register(client.sock, select.POLLIN)
    readable = {descriptor for descriptor, _ in poll.poll(1000 * wait_s)}
    return [client for client in clients if client.sock.fileno() in readable]


def test_new_clients_are_served_beside_idle_ones_and_the_longest_idle_leave(small: Server, crowd: ExitStack) -> None:
    idle = fill(small, crowd)
    serves_new_clients(small)
    assert len(idle) - len(ended(idle)) <= CONNECTIONS_MAX
    assert idle[0].is_ended()
    assert ended(idle) == idle[: len(ended(idle))]


def test_a_client_that_is_at_work_stays_while_idle_ones_leave(small: Server, crowd: ExitStack) -> None:
    busy = crowd.enter_context(small.connect())
    for _ in range(MANY):
        crowd.enter_context(small.connect())
        assert busy.get("/tell").headers["connection"] == "keep-alive"


HALF_SENT = {
    "head": b"POST /tell HTTP/1.1\r\nHost: a",
    "body": b"POST /tell HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf",
    "head for gunicorn": b"BREW / HTTP/1.1\r\nHost: a",
    "long body": b"POST /tell HTTP/1.1\r\nContent-Length: 90000\r\n\r\nhalf",
    "chunked body": b"POST /tell HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf",
}


@pytest.mark.parametrize("data", HALF_SENT.values(), ids=HALF_SENT.keys())
def test_new_clients_are_served_beside_half_sent_requests(small: Server, crowd: ExitStack, data: bytes) -> None:
    slow = fill(small, crowd, data)
    serves_new_clients(small)
    left = ended(slow)
    assert len(slow) - len(left) <= CONNECTIONS_MAX
    # One that was cut before the worker had read its first byte counts as idle, and has no answer.
    assert {answer.status for client in left for answer in client.answers()} == {408}
    assert "Traceback" not in small.logged


NEVER_READ = {
    "answers of some size": b"GET /tell HTTP/1.1\r\n\r\n",
    "large answers": b"GET /large HTTP/1.1\r\n\r\n",
    "files": b"GET /file HTTP/1.1\r\n\r\n",
    "files by gunicorn": b"GET /file HTTP/1.1\r\nTE: trailers\r\n%b\r\n" % HOST,
    "large answers by gunicorn": b"GET /large HTTP/1.1\r\nTE: trailers\r\n%b\r\n" % HOST,
}


@pytest.mark.parametrize("data", NEVER_READ.values(), ids=NEVER_READ.keys())
def test_new_clients_are_served_beside_those_that_never_read(small: Server, crowd: ExitStack, data: bytes) -> None:
    deaf = [crowd.enter_context(small.connect()) for _ in range(2 * CONNECTIONS_MAX)]
    for client in deaf:
        # More requests than the buffers have room for answers.
        client.sock.settimeout(0)
        with contextlib.suppress(OSError):
            while True:
                client.sock.sendall(data * 1000)
    serves_new_clients(small)
    assert "Traceback" not in small.logged


def test_the_bytes_of_all_answers_that_are_not_read_are_bounded(tmp_path_factory: pytest.TempPathFactory) -> None:
    with serving(tmp_path_factory.mktemp("roomy"), FAST) as server, ExitStack() as crowd:
        count = 2 * UNTAKEN_BYTES_MAX // LARGE_BYTES
        deaf = fill(server, crowd, b"GET /large HTTP/1.1\r\nConnection: close\r\n\r\n", count)
        for client in deaf:
            assert client.sock.recv(1, socket.MSG_PEEK), "its answer has to begin"
        whole = [taken_as_a_whole(client) for client in deaf]
        assert any(whole)
        assert 2 * sum(whole) <= count + 1
        assert "Traceback" not in server.logged


def test_the_bytes_of_all_half_sent_requests_are_bounded(tmp_path_factory: pytest.TempPathFactory) -> None:
    sent, count = 16_000, 100
    with serving(tmp_path_factory.mktemp("roomy"), FAST) as server, ExitStack() as crowd:
        slow = fill(server, crowd, post(b"a" * (sent + 1))[:-1], count)
        expected = count - UNFINISHED_BYTES_MAX // sent
        refused = 0
        while refused < expected:
            for client in ended(slow, DEADLINE_S):
                assert [answer.status for answer in client.answers()] == [408]
                slow.remove(client)
                refused += 1
        serves_new_clients(server)
        # The others may still finish.
        slow[-1].send(b"a")
        assert slow[-1].answer().status == 200


def taken_as_a_whole(client: Client) -> bool:
    try:
        return len(client.stream.read()) > LARGE_BYTES
    except ConnectionResetError:
        return False


@pytest.mark.parametrize(
    "begin", [b"GET /tell HTTP/1.1\r\nX: ", b"BREW /tell HTTP/1.1\r\nX: ", post(b"a" * 9000)[:-9000]]
)
def test_a_client_that_sends_a_byte_now_and_then_gains_no_time(
    tmp_path_factory: pytest.TempPathFactory, begin: bytes
) -> None:
    with serving(tmp_path_factory.mktemp("hasty"), "worker_app.HastyWorker") as server, server.connect() as client:
        client.send(begin)
        while not ended([client], 0.05):
            client.send(b"a")
        assert client.answer().status == 408


def test_a_head_that_never_ends_is_refused(small: Server) -> None:
    with small.connect() as client:
        client.send(b"BREW / HTTP/1.1\r\n")
        with contextlib.suppress(ConnectionError):
            for number in range(10_000):
                client.send(b"X-%d: %b\r\n" % (number, b"a" * 1000))
        answer = client.answer()
    assert (answer.status, answer.headers["content-type"]) == (431, "application/problem+json")


def test_a_client_that_sends_many_requests_at_once_takes_turns(small: Server) -> None:
    many = 300
    with small.connect() as greedy, small.connect() as other:
        worker = json.loads(other.get("/tell").body)["worker"]
        before = int(greedy.get("/count").body)
        # Halted, so that the worker finds the requests of both together.
        os.kill(worker, signal.SIGSTOP)
        greedy.send(b"GET /count HTTP/1.1\r\n\r\n" * many)
        other.send(b"GET /count HTTP/1.1\r\n\r\n")
        os.kill(worker, signal.SIGCONT)
        assert int(other.answer().body) - before < many
        assert [greedy.answer().status for _ in range(many)] == [200] * many
