import socket
import threading
from contextlib import closing

import gevent.socket

from gateway.server.connection import Connection

DEADLINE_S = 20.0


def test_it_is_told_at_once_whether_a_client_has_left() -> None:
    ours, theirs = gevent.socket.socketpair()
    with closing(ours), theirs:
        connection = Connection(ours, lambda *_: None)
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
        assert Connection(ours, lambda *_: None).has_left()
        ours.close()
        assert Connection(ours, lambda *_: None).has_left()


def test_closing_waits_for_a_client_that_is_still_sending() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.settimeout(DEADLINE_S)
        closing = threading.Thread(target=Connection(ours, lambda *_: None).close)
        theirs.sendall(b"some")
        closing.start()
        assert theirs.recv(1) == b""
        theirs.sendall(b"more")
        theirs.shutdown(socket.SHUT_WR)
        closing.join(DEADLINE_S)
    assert ours.fileno() == -1
