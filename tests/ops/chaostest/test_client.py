"""The client of a chaos run treats its connection as real clients do."""

import socket
import threading
from contextlib import closing

from ops.chaostest.client import HttpClient

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def test_a_kept_connection_that_the_server_has_closed_is_replaced_before_a_request_is_sent() -> None:
    closed = threading.Event()

    def answer_once_each(listener: socket.socket) -> None:
        for _ in range(2):
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(ANSWER)
            closed.set()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=answer_once_each, args=(listener,))
        server.start()
        with closing(HttpClient(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout_s=30)) as client:
            for _ in range(2):
                assert client.ask("POST", "/payments", b"{}").status == 200
                assert closed.wait(30)
        server.join()
