"""A gunicorn that is told to end serves on for a while, and tells its clients so."""

import os
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.gateway.server.serving import DEADLINE_S, FAST, Answer, Server, serving

CONFIG = """
from gateway.server.lame_duck import LAME_DUCK


def when_ready(server):
    LAME_DUCK.put_off_end(server, {lame_duck_s})
"""
FOR_EVER = CONFIG.format(lame_duck_s=3600)
NEWCOMERS = 20
JUST_FORKED = """
import time


def post_fork(server, worker):
    server.log.info("forked")
    time.sleep(3600)


graceful_timeout = 3600
"""


def become_lame_duck(server: Server) -> None:
    """Tell the master to end, and wait until its worker knows."""
    with server.connect() as client:
        # Who is answered has a worker that is at work.
        assert client.get("/tell").headers["connection"] == "keep-alive"
        server.process.terminate()
        while client.get("/tell").headers["connection"] == "keep-alive":
            pass


def ask_once(server: Server) -> Answer:
    with server.connect() as client:
        return client.get("/tell")


def test_new_connections_are_served_and_told_of_the_end(tmp_path: Path) -> None:
    with serving(tmp_path, FAST, more=FOR_EVER) as server:
        become_lame_duck(server)
        answers = [ask_once(server) for _ in range(NEWCOMERS)]
        assert {(answer.status, answer.headers["connection"]) for answer in answers} == {(200, "close")}
        server.process.terminate()
        assert server.process.wait(DEADLINE_S) == 0


def test_connections_that_stand_are_served_once_more_and_told_of_the_end(tmp_path: Path) -> None:
    with serving(tmp_path, FAST, more=FOR_EVER) as server, ExitStack() as connected:
        clients = [connected.enter_context(server.connect()) for _ in range(NEWCOMERS)]
        assert {client.get("/tell").headers["connection"] for client in clients} == {"keep-alive"}
        become_lame_duck(server)
        for client in clients:
            answer = client.get("/tell")
            assert (answer.status, answer.headers["connection"]) == (200, "close")
            assert client.is_ended()
        server.process.terminate()
        assert server.process.wait(DEADLINE_S) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_another_signal_ends_it_at_once(tmp_path: Path, number: signal.Signals) -> None:
    with serving(tmp_path, FAST, more=FOR_EVER) as server:
        become_lame_duck(server)
        server.process.send_signal(number)
        assert server.process.wait(DEADLINE_S) == 0


def test_it_ends_by_itself(tmp_path: Path) -> None:
    with serving(tmp_path, FAST, more=CONFIG.format(lame_duck_s=0.1)) as server:
        ask_once(server)
        server.process.terminate()
        assert server.process.wait(DEADLINE_S) == 0


def test_a_worker_that_was_just_forked_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with serving(tmp_path, FAST, more=CONFIG.format(lame_duck_s=0) + JUST_FORKED) as server:
        server.wait_for_log("forked")
        server.process.terminate()
        assert server.process.wait(DEADLINE_S) == 0


def test_a_worker_that_is_started_meanwhile_is_one_too(tmp_path: Path) -> None:
    with serving(tmp_path, FAST, more=FOR_EVER) as server:
        become_lame_duck(server)
        with server.connect() as client:
            first = client.get("/pid").body
        os.kill(int(first), signal.SIGKILL)
        with server.connect() as client:
            answer = client.get("/pid")
        assert answer.body != first
        assert answer.headers["connection"] == "close"
        server.process.terminate()
        assert server.process.wait(DEADLINE_S) == 0
