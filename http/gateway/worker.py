"""The gunicorn worker of the gateway: gevent's, with a fast way for plain requests.

A plain request (see `gateway.wsgi_io`) is parsed by httptools and answered with one send. Anything else goes the stock
way: what has been read is given back, gunicorn's own worker parses and answers it, and the connection ends with that
answer. A worker whose configuration asks for more than the fast way does (see `_fast_way_fits`) is the stock worker
altogether.
"""

import errno
import io
import os
import socket
import time
from dataclasses import dataclass
from functools import partial
from math import inf
from types import FrameType
from typing import Any

import gevent
from gevent.event import Event
from gevent.pool import Pool
from gevent.server import StreamServer
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.http import Request
from gunicorn.http.wsgi import (
    _make_early_hints_callback,
    base_environ,
)
from gunicorn.workers.ggevent import GeventWorker

from gateway.wsgi_io import (
    HEAD_BYTES_MAX,
    PLAIN_HEAD_BEGUN,
    RECV_BYTES,
    Connection,
    HeadParser,
    PlainRequest,
    PlainResponse,
)

Address = tuple[str, int]
_HEAD_END = b"\r\n\r\n"
_STOCK_FIELDS = ("EXPECT", "HTTP2-SETTINGS", "TE", "TRAILER", "TRANSFER-ENCODING", "UPGRADE")
_CLIENT_GONE = (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN)
_SWEEP_INTERVAL_S = 0.25
_STOP_POLL_S = 0.05
_FIELDS_MAX = 32768


@dataclass(frozen=True, slots=True)
class ListenerAddress:
    """Stands in for a listener, which may be closed before a connection that it accepted is handled."""

    address: Address

    def getsockname(self) -> Address:
        """Give the address that was listened on."""
        return self.address


class GatewayWorker(GeventWorker):  # type: ignore[misc]  # gunicorn ships no types
    """Serves a WSGI app; `worker_class = "gateway.worker.GatewayWorker"`."""

    REQUEST_DEADLINE_S = 10.0
    """From a request's first byte to its last; on the stock way, to the last byte of its answer."""
    NEWCOMER_GRACE_S = 0.5
    """How long after the stop begins a connection that was never served may still send its first request."""

    REQUESTS_S_MAX = 2.5
    """How long a stop waits for requests under way; the application needs what `graceful_timeout` leaves."""

    alive: bool

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        cfg = self.cfg
        self._fast = _fast_way_fits(cfg, self.log) and all(each.FAMILY != socket.AF_UNIX for each in self.sockets)
        self._head_bytes_max = min(
            limit for limit in (HEAD_BYTES_MAX, cfg.limit_request_line, cfg.limit_request_field_size) if limit > 0
        )
        self._heads = HeadParser(
            (*_STOCK_FIELDS, *cfg.secure_scheme_headers),
            cfg.limit_request_fields if cfg.limit_request_fields > 0 else _FIELDS_MAX,
        )
        self._connections: set[Connection] = set()
        self._pool = Pool(self.worker_connections)
        self._stopping = Event()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin the graceful stop at once."""
        super().handle_exit(sig, frame)
        self._stopping.set()

    def run(self) -> None:
        """Serve until told to stop, then finish what has been received."""
        if not self._fast:
            super().run()
            return
        servers = [self._start_server(listener) for listener in self.sockets]
        while self.alive:
            self.notify()
            self._sweep()
            self._stopping.wait(_SWEEP_INTERVAL_S)
        for server in servers:
            _accept_backlog(server)
            server.close()
        self._finish()

    def handle(self, listener: socket.socket | ListenerAddress, client: socket.socket, addr: Address) -> None:
        """Serve a connection until it ends."""
        if not self._fast:
            super().handle(listener, client, addr)
            return
        client.setblocking(True)  # noqa: FBT003  # the name of the method says it
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(client)
        self._connections.add(connection)
        try:
            unusual = self._serve(connection, self._connection_environ(listener, connection, addr), addr)
            if unusual:
                connection.unread(unusual)
                super().handle(listener, connection, addr)
            elif not self.alive:
                connection.close()
        except OSError as error:
            self.log.debug("Connection lost: %s", error)
        finally:
            self._connections.discard(connection)
            client.close()

    def handle_request(self, listener_name: Address, req: Request, sock: socket.socket, addr: Address) -> None:
        """Answer a request of the stock way; beside a fast way it is its connection's last."""
        if self._fast:
            req.force_close()
        super().handle_request(listener_name, req, sock, addr)

    def _serve(self, connection: Connection, template: dict[str, Any], addr: Address) -> bytes:
        """Answer plain requests; returns what has been read of the first one that is not, or nothing at the end."""
        data = b""
        while True:
            if not data:
                connection.idle = True
                connection.deadline = time.monotonic() + self.cfg.keepalive
                data = connection.sock.recv(RECV_BYTES)
                connection.idle = False
                if not data:
                    return b""
            connection.deadline = time.monotonic() + self.REQUEST_DEADLINE_S
            while (fields_end := data.find(_HEAD_END)) < 0:
                if len(data) > self._head_bytes_max or not PLAIN_HEAD_BEGUN.fullmatch(data):
                    return data
                data += connection.recv(RECV_BYTES)
            head_end = fields_end + len(_HEAD_END)
            if head_end > self._head_bytes_max:
                return data
            request = self._heads.parse(data[:head_end], template.copy())
            if request is None:
                return data
            end = head_end + request.content_length
            while len(data) < end:
                data += connection.recv(RECV_BYTES)
            request.body = io.BytesIO(data[head_end:end])
            data = data[end:]
            if not self._answer(connection, request, addr, more=bool(data)):
                return b""

    def _answer(self, connection: Connection, request: PlainRequest, addr: Address, *, more: bool) -> bool:
        """Let the app answer; returns whether the connection can serve another request.

        When the worker stops, requests that came in one go (`more`) are still answered together.
        """
        connection.deadline = inf
        response = PlainResponse(request, connection, self.cfg)
        environ = request.environ
        environ["wsgi.input"] = request.body
        environ["wsgi.early_hints"] = _make_early_hints_callback(request, connection, response)
        self.nr += 1
        if self.nr >= self.max_requests and self.alive:
            self.log.info("Autorestarting worker after current request.")
            self.alive = False
        try:
            body = self.wsgi(environ, response.start_response)
            if not (self.alive or more):
                response.force_close()
            try:
                response.send(body)
            finally:
                if hasattr(body, "close"):
                    body.close()
        except (Exception, SystemExit, gevent.Timeout) as error:  # nothing an app raises ends the worker
            if isinstance(error, OSError) and error.errno in _CLIENT_GONE:
                self.log.debug("Client gone: %s", error)
            elif response.headers_sent:
                self.log.exception("Error handling request %s %s", request.method, request.uri)
            else:
                self.handle_error(request, connection, addr, error)
            return False
        connection.served = True
        return not response.should_close()

    def _connection_environ(
        self, listener: ListenerAddress | socket.socket, connection: Connection, addr: Address
    ) -> dict[str, Any]:
        """Build what is the same in the environ of all plain requests of a connection."""
        environ: dict[str, Any] = base_environ(self.cfg)
        host, port = listener.getsockname()[:2]
        environ.update(
            {
                "wsgi.multithread": True,
                "wsgi.url_scheme": "http",
                "gunicorn.socket": connection,
                "REMOTE_ADDR": addr[0],
                "REMOTE_PORT": str(addr[1]),
                "SCRIPT_NAME": "",
                "SERVER_NAME": host,
                "SERVER_PORT": str(port),
                "SERVER_PROTOCOL": "HTTP/1.1",
            }
        )
        return environ

    def _start_server(self, listener: socket.socket) -> StreamServer:
        listener.setblocking(True)  # noqa: FBT003  # the same
        server = StreamServer(
            listener, handle=partial(self.handle, ListenerAddress(listener.getsockname()[:2])), spawn=self._pool
        )
        if self.cfg.workers > 1:
            server.max_accept = 1
        server.start()
        return server

    def _sweep(self) -> None:
        """Shut down the connections whose deadline has passed; whoever waits for them wakes."""
        now = time.monotonic()
        for connection in [each for each in self._connections if each.deadline < now]:
            connection.shut(socket.SHUT_RDWR)

    def _finish(self) -> None:
        """Wait until all connections have ended, idle ones at once, the others for `REQUESTS_S_MAX`."""
        began = time.monotonic()
        while (elapsed_s := time.monotonic() - began) <= self.REQUESTS_S_MAX:
            for connection in [each for each in self._connections if each.idle]:
                if connection.served or elapsed_s > self.NEWCOMER_GRACE_S:
                    # What has already arrived can still be read, and is then answered.
                    connection.shut(socket.SHUT_RD)
            self._sweep()
            self.notify()
            if self._pool.join(timeout=_STOP_POLL_S):
                return
        self.log.warning("Worker pid %s gives up the requests that are left", self.pid)
        self._pool.kill(timeout=1)


def _accept_backlog(server: StreamServer) -> None:
    """Accept the connections that closing the listener would reset."""
    server.stop_accepting()
    while not server.full() and (accepted := server.do_read()):
        server.do_handle(*accepted)


def _fast_way_fits(cfg: Config, log: Logger) -> bool:
    """Tell whether plain HTTP/1 is all that the configuration asks for.

    TLS, HTTP/2, the PROXY and uwsgi protocols, an access log or a logger class, `pre_request` and `post_request` hooks,
    `SCRIPT_NAME` and connections without keep-alive make the worker the stock one, as do unix sockets.
    """
    defaults = ("protocol", "proxy_protocol", "http2_cleartext", "pre_request", "post_request")
    return (
        all(cfg.settings[name].get() == cfg.settings[name].default for name in defaults)
        and cfg.http_protocols == ["h1"]
        and not cfg.is_ssl
        and cfg.keepalive > 0
        and type(log) is Logger
        and not log.access_log_enabled
        and "SCRIPT_NAME" not in os.environ
    )
