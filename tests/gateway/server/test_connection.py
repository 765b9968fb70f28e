import socket
import threading

from gateway.server.connection import Connection

DEADLINE_S = 20.0


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
