import contextlib
import socket
import threading
from contextlib import closing

import gevent
import gevent.socket
import pytest

from gateway.server.connection import Connection, Phase

DEADLINE_S = 20.0
LARGE_BYTES = 10_000_000


def ignore(*_: object) -> None:
    """Take note of nothing."""


def test_it_is_told_at_once_whether_a_client_has_left() -> None:
    ours, theirs = gevent.socket.socketpair()
    with closing(ours), theirs:
        connection = Connection(ours, ignore, ignore)
        assert not connection.has_left()
        theirs.sendall(b"next")
        assert not connection.has_left()
        assert connection.recv(10) == b"next"
        theirs.shutdown(socket.SHUT_WR)
        assert connection.has_left()
    ours, theirs = gevent.socket.socketpair()
    with closing(ours):
        # What it has not read makes it a reset.
        ours.sendall(b"answer")
        theirs.close()
        assert Connection(ours, ignore, ignore).has_left()
        ours.close()
        assert Connection(ours, ignore, ignore).has_left()


def test_a_client_that_does_not_take_even_a_small_answer_is_waited_for_as_one_that_sends_may_be() -> None:
    ours, theirs = gevent.socket.socketpair()
    with closing(ours), theirs:
        untaken: list[int] = []
        connection = Connection(ours, ignore, lambda _, size: untaken.append(size))
        connection.phase = Phase.ANSWERING
        fill(ours)
        sending = gevent.spawn(connection.sendall, b"small")
        gevent.sleep(0)
        assert (connection.phase, untaken) == (Phase.SENDING, [len(b"small")])
        connection.cut()
        with pytest.raises(ConnectionResetError):
            sending.get(timeout=DEADLINE_S)


def test_the_kernel_keeps_nothing_for_a_client_that_was_cut() -> None:
    with gevent.socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        theirs = gevent.socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
        with theirs:
            connection = Connection(ours, ignore, ignore)
            sending = gevent.spawn(connection.sendall, bytes(LARGE_BYTES))
            gevent.sleep(0)
            connection.cut()
            with pytest.raises(ConnectionResetError):
                sending.get(timeout=DEADLINE_S)
            connection.close()
            theirs.settimeout(DEADLINE_S)
            with pytest.raises(ConnectionResetError):
                drain(theirs)


def test_what_a_client_has_not_taken_is_told_until_it_has_all_of_it() -> None:
    ours, theirs = gevent.socket.socketpair()
    with closing(ours), theirs:
        untaken: list[int] = []
        connection = Connection(ours, ignore, lambda _, size: untaken.append(size))
        sending = gevent.spawn(connection.sendall, bytes(LARGE_BYTES))
        gevent.sleep(0)
        assert untaken == [LARGE_BYTES]
        taken = 0
        while taken < LARGE_BYTES:
            taken += len(theirs.recv(LARGE_BYTES))
        sending.get(timeout=DEADLINE_S)
        assert untaken == [LARGE_BYTES, 0]
        assert connection.phase is Phase.IDLE


def drain(sock: socket.socket) -> None:
    """Receive until the other side has closed."""
    while sock.recv(LARGE_BYTES):
        pass


def fill(sock: socket.socket) -> None:
    """Send until the buffer has no room."""
    # gevent waits for room, whatever the flags, unless there is no time for it.
    sock.settimeout(0.0)
    with contextlib.suppress(BlockingIOError):
        while True:
            sock.send(bytes(LARGE_BYTES))
    sock.settimeout(None)


def test_closing_waits_for_a_client_that_is_still_sending() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.settimeout(DEADLINE_S)
        closing = threading.Thread(target=Connection(ours, ignore, ignore).close)
        theirs.sendall(b"some")
        closing.start()
        assert theirs.recv(1) == b""
        theirs.sendall(b"more")
        theirs.shutdown(socket.SHUT_WR)
        closing.join(DEADLINE_S)
    assert ours.fileno() == -1
