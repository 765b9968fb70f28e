"""A server behind a relay, which a test freezes or whose connections it cuts."""

import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress
from threading import Event, Thread
from urllib.parse import unquote, urlsplit

from psycopg.conninfo import conninfo_to_dict

Connect = Callable[[], socket.socket]


class Relay:
    """Stands before a server at a port of 127.0.0.1, and lets nothing through once it is frozen."""

    def __init__(self, connect: Connect, port: int = 0) -> None:
        """`connect` opens a connection to the server."""
        self._connect = connect
        self._flowing = Event()
        self._flowing.set()
        self._ends = ExitStack()
        self._listener = self._ends.enter_context(socket.create_server(("127.0.0.1", port)))
        self.port = int(self._listener.getsockname()[1])
        self._sockets: list[socket.socket] = []
        self._swallowed = self._freezing = b""
        self._threads = [Thread(target=self._accept)]
        self._threads[0].start()

    def freeze(self) -> None:
        self._flowing.clear()

    def freeze_at(self, words: bytes) -> None:
        """Freeze when these words are sent."""
        self._freezing = words

    def thaw(self) -> None:
        self._flowing.set()

    def swallow(self, words: bytes) -> None:
        """Let the connection on which these words are sent next fall silent for ever."""
        self._swallowed = words

    def cut(self) -> None:
        """End every connection; new ones are taken."""
        for each in list(self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self.cut()
        self._flowing.set()
        for thread in self._threads:
            thread.join()
        self._ends.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client = self._ends.enter_context(self._listener.accept()[0])
                server = self._ends.enter_context(self._connect())
                self._sockets += [client, server]
                for pair in ((client, server), (server, client)):
                    self._threads.append(Thread(target=self._pump, args=pair))
                    self._threads[-1].start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if self._freezing and self._freezing in data:
                    self.freeze()
                    self._freezing = b""
                self._flowing.wait()
                if self._swallowed and self._swallowed in data:
                    self._swallowed = b""
                    return
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


def to_postgres(database_url: str) -> Connect:
    """Connect to the Postgres of a URL."""
    parameters = conninfo_to_dict(database_url)
    host, port = str(parameters.get("host", "localhost")), int(parameters.get("port") or 5432)
    return _to_unix(f"{host}/.s.PGSQL.{port}") if host.startswith("/") else _to_tcp(host, port)


def to_redis(redis_url: str) -> Connect:
    """Connect to the Redis of a URL."""
    parts = urlsplit(redis_url)
    if parts.scheme == "unix":
        return _to_unix(unquote(parts.path))
    return _to_tcp(parts.hostname or "localhost", parts.port or 6379)


def _to_tcp(host: str, port: int) -> Connect:
    return lambda: socket.create_connection((host, port))


def _to_unix(path: str) -> Connect:
    def connect() -> socket.socket:
        server = socket.socket(socket.AF_UNIX)
        server.connect(path)
        return server

    return connect
