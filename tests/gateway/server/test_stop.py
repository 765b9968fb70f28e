"""A stop of the worker fails no request of a client that heeds `Connection: close`."""

import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from ops.stack.ports import reserve_ports
from tests.gateway.server.serving import DEADLINE_S, FAST, Answer, Server, kernel_filters_sockets, serving

CLIENTS = 20
SLOW_TO_LISTEN = """
import os
import time

from gunicorn import sock

from gateway.server import succession

bind = "127.0.0.1:{port}"
reuse_port = True
timeout = graceful_timeout = succession.SUCCESSOR_S_MAX = 3600
master = os.getpid()
sock.original = getattr(sock, "original", sock.create_sockets)  # SIGHUP runs this again.


def listen_when_told(config, log, fds=None):
    log.info("about to listen")
    # Until a test's file says so, or the master is gone.
    while os.getppid() == master and not os.path.exists("{told}"):
        time.sleep(0.01)
    os.unlink("{told}")
    return sock.original(config, log, fds)


sock.create_sockets = listen_when_told


def when_ready(server):
    server.log.info("Listening at: http://127.0.0.1:{port}")


def pre_fork(server, worker):
    succession.SUCCESSION.begin()


def post_fork(server, worker):
    succession.SUCCESSION.end()
    server.log.info("listens now")
"""


def test_requests_on_idle_connections_are_still_answered_and_told_of_the_end(tmp_path: Path) -> None:
    with serving(tmp_path, "worker_app.PatientWorker") as server, ExitStack() as connected:
        clients = [connected.enter_context(server.connect()) for _ in range(CLIENTS)]
        newcomers = [connected.enter_context(server.connect()) for _ in range(CLIENTS)]
        assert {client.get("/tell").headers["connection"] for client in clients} == {"keep-alive"}
        server.process.terminate()
        for client in [*clients, *newcomers]:
            # The first ones may come before the signal.
            while (answer := client.get("/tell")).headers["connection"] == "keep-alive":
                assert answer.status == 200
            assert answer.status == 200
            assert client.is_ended()
            client.sock.shutdown(socket.SHUT_RDWR)
        # It waits no longer than for the last of them.
        assert server.process.wait(DEADLINE_S) == 0


def test_idle_connections_end_after_a_while(tmp_path: Path) -> None:
    with serving(tmp_path, FAST) as server, server.connect() as client, server.connect() as newcomer:
        client.get("/tell")
        server.process.terminate()
        assert client.is_ended()
        assert newcomer.is_ended()
        assert server.process.wait(DEADLINE_S) == 0


def test_clients_under_load_have_every_request_answered(tmp_path: Path) -> None:
    with serving(tmp_path, FAST) as server, ThreadPoolExecutor(CLIENTS) as pool:
        under_way = threading.Barrier(CLIENTS + 1)
        ends = [pool.submit(load, server, under_way) for _ in range(CLIENTS)]
        under_way.wait(DEADLINE_S)
        server.process.terminate()
        assert min(end.result(DEADLINE_S) for end in ends) > 1
        assert server.process.wait(DEADLINE_S) == 0


def load(server: Server, under_way: threading.Barrier) -> int:
    """Send requests until told that the connection ends; return how many were answered."""
    answered = 0
    with server.connect() as client:
        while True:
            answer = client.get("/tell")
            assert answer.status == 200
            answered += 1
            if answer.headers["connection"] == "close":
                return answered
            if answered == 1:
                under_way.wait(DEADLINE_S)


def test_a_hang_up_starts_the_worker_anew_and_fails_no_request(tmp_path: Path) -> None:
    with serving(tmp_path, FAST) as server, server.connect() as client:
        before = client.get("/pid").body
        server.process.send_signal(signal.SIGHUP)
        while (answer := client.get("/pid")).headers["connection"] == "keep-alive":
            assert (answer.status, answer.body) == (200, before)
        # The old one may take some more connections before it closes its listener.
        while ask_once(server).body == before:
            pass


def test_a_worker_that_is_replaced_takes_new_connections_until_the_one_in_its_place_listens(tmp_path: Path) -> None:
    (port,) = reserve_ports(1)
    told = tmp_path / "told"
    with serving(tmp_path, FAST, more=SLOW_TO_LISTEN.format(port=port, told=told)) as server:
        told.touch()
        server.wait_for_log("listens now")
        before = ask_once(server).body
        server.process.send_signal(signal.SIGHUP)
        server.wait_for_log(r"(?s)about to listen.*about to listen")
        while ask_once(server).headers["connection"] == "keep-alive":
            pass
        assert [ask_once(server).body for _ in range(CLIENTS)] == [before] * CLIENTS
        told.touch()
        while ask_once(server).body == before:
            pass


def ask_once(server: Server) -> Answer:
    """Ask who serves a connection of its own; where the kernel filters nothing, a closing listener may reset some."""
    while True:
        try:
            with server.connect() as client:
                return client.get("/pid")
        except ConnectionResetError:
            assert not kernel_filters_sockets()
