"""The gunicorn worker of the gateway: gevent's, with a fast path for plain requests.

A plain request (see `gateway.server.request_head`) is parsed once for all requests with an equal head, and answered
with one send, or two where the body is large. Any other request takes the gunicorn path: what has been read is given
back, gunicorn's own gevent worker parses and answers it, and the connection ends with that answer. A worker whose
configuration asks for more than the fast path does (see `gateway.server.fast_path`) is gunicorn's gevent worker
altogether.
"""

import contextlib
import errno
import io
import socket
import time
from collections.abc import Callable
from functools import partial
from math import inf
from types import FrameType
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import Event
from gevent.pool import Pool
from gunicorn.http import Request
from gunicorn.http.wsgi import _make_early_hints_callback
from gunicorn.workers.ggevent import GeventWorker

from gateway.server.admission import ClientAdmission
from gateway.server.connection import RECV_BYTES, Address, Connection, ListenerAddress, Phase, connection_environ
from gateway.server.fast_path import fast_path_fits, head_limits
from gateway.server.lame_duck import LAME_DUCK
from gateway.server.listening import bound, start_server, stop_servers
from gateway.server.refusals import check_codings, refusal, status_of
from gateway.server.request_head import PLAIN_HEAD_BEGUN, HeadParser, PlainHead
from gateway.server.response import PlainResponse

if TYPE_CHECKING:
    from gateway.server.request_log import RequestLog

_HEAD_END, _CLIENT_GONE = b"\r\n\r\n", (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN)
_SWEEP_INTERVAL_S, _STOP_POLL_S = 0.25, 0.05
_NEWCOMERS_MAX = 16
"""Connections beyond the limit, for new clients while others leave."""
_READABLE = 1
"""What libev calls the event that a socket has something to read."""


class GatewayWorker(GeventWorker):  # type: ignore[misc]  # gunicorn ships no types
    """Serves a WSGI app; `worker_class = "gateway.server.worker.GatewayWorker"`."""

    REQUEST_DEADLINE_S = 10.0
    """Time from a request's first byte to its last; on the gunicorn path, if there is a body, to the answer's end."""
    IDLE_GRACE_S = 1.0
    """How long after a stop begins requests on idle connections are still answered, with `Connection: close`."""
    REQUESTS_S_MAX = 2.5
    """How long a stop waits for requests under way; the application needs what `graceful_timeout` leaves."""
    KILL_S_MAX = 1.0
    """How long the requests that are given up then may take to end."""

    alive: bool
    _requests: "RequestLog"

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        cfg = self.cfg
        cfg.set("sendfile", False)  # noqa: FBT003  # it would wait without end for a client that does not read
        self._keepalive_s: float = cfg.keepalive
        self._fast = fast_path_fits(cfg, self.log) and all(each.FAMILY != socket.AF_UNIX for each in self.sockets)
        self._head_bytes_max, fields_max = head_limits(cfg)
        self._heads = HeadParser(cfg.secure_scheme_headers, fields_max)
        self.admission = ClientAdmission(self.worker_connections)
        self._pool = Pool(self.worker_connections + _NEWCOMERS_MAX)
        self._stopping = Event()
        self._tells_all = getattr(self.log, "has_access_lines", False)
        """Whether each request is a line of the log."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin the graceful stop at once."""
        super().handle_exit(sig, frame)
        self._stopping.set()

    def run(self) -> None:
        """Serve until told to stop, then finish what has been received."""
        from gateway.server.request_log import RequestLog  # noqa: PLC0415  # not in the master, which makes workers

        self._requests = RequestLog()
        if not self._fast:
            super().run()
            return
        servers = [start_server(listener, self.handle, self._pool) for listener in self.sockets]
        while self.alive:
            self.notify()
            self.admission.sweep(time.monotonic())
            self._requests.check()
            self._stopping.wait(_SWEEP_INTERVAL_S)
        stop_servers(servers)
        self._finish()

    def handle(self, listener: socket.socket | ListenerAddress, client: socket.socket, addr: Address) -> None:
        """Serve a connection until it ends."""
        if not self._fast:
            super().handle(listener, client, addr)
            return
        client.setblocking(True)  # noqa: FBT003  # the name of the method says it
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        bound(client)
        connection = Connection(client, self.admission.hold, self.admission.leave_untaken)
        hub = gevent.get_hub()
        readable = hub.loop.io(client.fileno(), _READABLE)
        self.admission.enter(connection)
        try:
            template = connection_environ(self.cfg, listener, connection, addr)
            unusual = self._serve(connection, partial(hub.wait, readable), template, addr)
            if unusual:
                connection.unread(unusual)
                connection.phase = Phase.RECEIVING
                self.admission.hold(connection, len(unusual) - connection.unfinished_bytes)
                super().handle(listener, connection, addr)
            else:
                connection.close()
        except OSError as error:
            self.log.debug("Connection lost: %s", error)
        finally:
            self.admission.leave(connection)
            readable.close()
            client.close()

    def handle_request(
        self, listener_name: Address, req: Request, sock: socket.socket | Connection, addr: Address
    ) -> None:
        """Answer a request of the gunicorn path; where there is a fast path too, it is the last of its connection."""
        check_codings(req.headers)
        if isinstance(sock, Connection):
            req.force_close()
            sock.phase = Phase.ANSWERING
            self.admission.finish(sock)
            if getattr(req.body.reader, "length", None) == 0:
                sock.deadline = inf  # All of it has been received.
        super().handle_request(listener_name, req, sock, addr)

    def handle_error(
        self, req: Request | PlainHead | None, client: socket.socket | Connection, addr: Address, exc: BaseException
    ) -> None:
        """Answer what cannot be parsed, and what the application fails at, with problem details."""
        status = status_of(exc)
        asked = (getattr(req, "method", None) or "-", getattr(req, "uri", None) or "-")
        is_own = self._requests.refused(*asked, addr[0], exc, status)
        answer = refusal(status) if is_own else refusal(status, str(exc))
        if self._tells_all:
            self._requests.tell(*asked, status, len(answer), 0.0, addr[0])
        with contextlib.suppress(OSError):
            client.sendall(answer)

    def _serve(
        self, connection: Connection, wait: Callable[[], object], template: dict[str, Any], addr: Address
    ) -> bytes:
        """Answer plain requests; returns what has been read of the first one that is not, or nothing at the end.

        `wait` returns when the connection has something to read: to wait at once is cheaper than to find nothing first.
        """
        data = b""
        while True:
            if not data:
                self.admission.rest(connection)
                connection.deadline = time.monotonic() + self._keepalive_s
                wait()
                data = connection.sock.recv(RECV_BYTES)
                if not data:
                    return b""
            connection.deadline = time.monotonic() + self.REQUEST_DEADLINE_S
            while (fields_end := data.find(_HEAD_END)) < 0:
                if len(data) > self._head_bytes_max or not PLAIN_HEAD_BEGUN.fullmatch(data):
                    return data
                data = self._receive_more(connection, wait, data)
            head_end = fields_end + len(_HEAD_END)
            head = self._heads.parse(data[:head_end]) if head_end <= self._head_bytes_max else None
            if head is None:
                return data
            end = head_end + head.content_length
            while len(data) < end:
                data = self._receive_more(connection, wait, data)
            environ = {**template, **head.environ, "wsgi.input": io.BytesIO(data[head_end:end])}
            data = data[end:]
            if not self._answer(connection, head, environ, addr, more=bool(data)):
                return b""
            if data:
                # A client that sends many requests in one go takes turns with the others.
                gevent.sleep(0)

    def _receive_more(self, connection: Connection, wait: Callable[[], object], data: bytes) -> bytes:
        """Receive more of a request that has begun with `data`; returns both."""
        connection.phase = Phase.RECEIVING
        if not connection.unfinished_bytes:
            self.admission.hold(connection, len(data))
        wait()
        return data + connection.recv(RECV_BYTES)

    def _answer(
        self, connection: Connection, head: PlainHead, environ: dict[str, Any], addr: Address, *, more: bool
    ) -> bool:
        """Let the app answer; returns whether the connection can serve another request.

        When the worker stops or is a lame duck, requests that came in one go (`more`) are still answered together.
        """
        connection.deadline = inf
        connection.phase = Phase.ANSWERING
        if connection.unfinished_bytes:
            self.admission.finish(connection)
        response = PlainResponse(head, connection, self.cfg)
        environ["wsgi.early_hints"] = _make_early_hints_callback(head, connection, response)
        self.nr += 1
        if self.nr >= self.max_requests and self.alive:
            self.log.info("Autorestarting worker after current request.")
            self.alive = False
        began_s = time.monotonic() if self._tells_all else 0.0
        try:
            body = self.wsgi(environ, response.start_response)
            if connection.is_cut or not (more or (self.alive and not LAME_DUCK.has_begun)):
                response.force_close()
            try:
                response.send(body)
            finally:
                if hasattr(body, "close"):
                    body.close()
        except (Exception, SystemExit, gevent.Timeout) as error:  # noqa: BLE001  # nothing an app raises ends the worker
            if isinstance(error, OSError) and error.errno in _CLIENT_GONE:
                self.log.debug("Client gone: %s", error)
            elif response.headers_sent:
                self._requests.failed(head.method, head.uri, error)
            else:
                self.handle_error(head, connection, addr, error)
            return False
        if self._tells_all:
            self._requests.answered(head, response, began_s, environ)
        connection.is_served = True
        return not (response.closes or response.must_close)

    def _finish(self) -> None:
        """Wait until all connections have ended, idle ones after `IDLE_GRACE_S`, the others for `REQUESTS_S_MAX`."""
        began = time.monotonic()
        while (elapsed_s := time.monotonic() - began) <= self.REQUESTS_S_MAX:
            if elapsed_s > self.IDLE_GRACE_S:
                self.admission.end_idle()
            self.admission.sweep(time.monotonic())
            self.notify()
            if self._pool.join(timeout=_STOP_POLL_S):
                return
        self.log.warning("the requests that are left are given up")
        self._pool.kill(timeout=self.KILL_S_MAX)
