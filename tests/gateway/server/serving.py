"""A gunicorn process that serves `worker_app`, and a client that sees every byte of its answers."""

import io
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self

from gateway.server.listening import drop_new_connections

DEADLINE_S = 20.0
LARGE_BYTES = 1_000_000
"""The length of an answer that no buffer has room for."""
ROOT = Path(__file__).parents[3]
CONFIG = """
from gevent import monkey

monkey.patch_all()
bind = "127.0.0.1:0"
control_socket_disable = True
keepalive = 60
"""
FAST = "gateway.server.worker.GatewayWorker"
GUNICORN = "gevent"
HOST = b"Host: pay.example\r\n"


class Answer(NamedTuple):
    version: int
    status: int
    headers: dict[str, str]
    body: bytes


class Server:
    """A gunicorn process and what it logs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.logged = ""
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.port = int(self.wait_for_log(r"Listening at: http://127\.0\.0\.1:(\d+)")[1])

    def wait_for_log(self, pattern: str) -> re.Match[str]:
        with self._changed:
            assert self._changed.wait_for(lambda: re.search(pattern, self.logged), DEADLINE_S), self.logged
            found = re.search(pattern, self.logged)
        assert found
        return found

    def connect(self) -> "Client":
        return Client(self.port)

    def exchange(self, data: bytes) -> list[Answer]:
        """Send on a connection of its own, end it, and take every answer."""
        with self.connect() as client:
            client.send(data)
            client.sock.shutdown(socket.SHUT_WR)
            return client.answers()

    def stop(self) -> int:
        self.process.terminate()
        code = self.process.wait(DEADLINE_S)
        self._reader.join(DEADLINE_S)
        return code

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            with self._changed:
                self.logged += line
                self._changed.notify_all()


class Client:
    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), DEADLINE_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = self.sock.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()
        self.sock.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def get(self, target: str, fields: bytes = b"", version: str = "1.1") -> Answer:
        self.send(b"GET %b HTTP/%b\r\n%b%b\r\n" % (target.encode(), version.encode(), HOST, fields))
        return self.answer()

    def answer(self, method: str = "GET") -> Answer:
        return read_answer(self.stream, method)

    def answers(self) -> list[Answer]:
        stream = io.BytesIO(self.stream.read())
        found = []
        while stream.tell() < len(stream.getvalue()):
            found.append(read_answer(stream))
        return found

    def is_ended(self) -> bool:
        return self.stream.read() == b""


class Stream:
    """Lets `HTTPResponse` read from a stream that outlives it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def makefile(self, _: str) -> Self:
        return self

    def close(self) -> None:
        pass

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def read_answer(stream: BinaryIO, method: str = "GET") -> Answer:
    response = HTTPResponse(Stream(stream), method=method)  # type: ignore[arg-type]  # all that it needs of a socket
    response.begin()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.version, response.status, headers, response.read())


@contextmanager
def serving(folder: Path, worker: str, hold_fds: tuple[int, ...] = (), more: str = "") -> Iterator[Server]:
    """Serve with this worker class; `more` is added to the configuration."""
    config = folder / "gunicorn.conf.py"
    config.write_text(CONFIG + more)
    path = os.pathsep.join(str(each) for each in (ROOT, ROOT / "http", Path(__file__).parent))
    environment = {name: value for name, value in os.environ.items() if name != "SCRIPT_NAME"} | {
        "PYTHONPATH": path,
        "LARGE_BYTES": str(LARGE_BYTES),
    }
    if hold_fds:
        environment["HOLD_FDS"] = ",".join(map(str, hold_fds))
    command = [sys.executable, "-m", "gunicorn", "-c", str(config), "-k", worker, "worker_app:app"]
    with subprocess.Popen(  # noqa: S603  # the test's own command
        command, env=environment, stderr=subprocess.PIPE, text=True, pass_fds=hold_fds
    ) as process:
        try:
            server = Server(process)
            yield server
            server.stop()
        finally:
            process.kill()


def kernel_filters_sockets() -> bool:
    """Tell whether this process may attach filters to sockets."""
    with socket.socket() as one:
        return drop_new_connections(one)


def post(body: bytes, fields: bytes = b"", target: bytes = b"/tell") -> bytes:
    """Write a request with a body."""
    return b"POST %b HTTP/1.1\r\n%bContent-Length: %d\r\n%b\r\n%b" % (target, HOST, len(body), fields, body)
