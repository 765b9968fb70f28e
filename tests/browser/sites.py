"""Servers for a browser: the real page over a scripted gateway, and scripted controls."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from socketserver import ThreadingMixIn
from threading import Condition, Thread
from typing import Any
from urllib.parse import parse_qs
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from gateway.app import create_app
from tests.browser.scenes import Status, rest, told_after
from tests.gateway.fake_gateway import FakeGateway

WAIT_S_MAX = 10


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the standard library's name
        pass


@contextmanager
def served(application: WSGIApplication) -> Iterator[str]:
    """Serve an application on loopback, and give its address."""
    with make_server("127.0.0.1", 0, application, _Server, _QuietHandler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Asked:
    """Requests that came, for tests that wait for them."""

    def __init__(self) -> None:
        self._all: list[tuple[str, Any]] = []
        self._changed = Condition()

    def add(self, request: str, body: object = None) -> None:
        with self._changed:
            self._all.append((request, body))
            self._changed.notify_all()

    def like(self, start: str) -> list[tuple[str, Any]]:
        """Give the requests that begin so, as `GET /status`, with their bodies."""
        with self._changed:
            return [each for each in self._all if each[0].startswith(start)]

    def wait(self, start: str, times: int = 1) -> list[tuple[str, Any]]:
        """Wait until that many such requests have come."""
        with self._changed:
            came = self._changed.wait_for(lambda: len(self.like(start)) >= times, WAIT_S_MAX)
        assert came, f"{start} was not asked {times} times"
        return self.like(start)


class ScriptedGateway:
    """Serves the real page; what `GET /status` and questions for payments answer is set from outside."""

    def __init__(self, controls: str = "") -> None:
        gateway = FakeGateway()
        self._falcon: Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]] = create_app(
            gateway, gateway, gateway, gateway, allow_purge=False, allow_force=True, controls_url=controls
        )
        self.status: Status = rest()
        self.payments: dict[str, Status] = {}
        """By id, what is told of one payment."""
        self.histories: dict[str, Status] = {}
        """By id, the history of a payment that is not told with it."""
        self.lists: dict[str, list[Status]] = {}
        """By state, the payments of a list."""
        self.failing = False
        """Whether every question but those for the page's files is answered 503."""
        self.asked = _Asked()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
        self.asked.add(f"{environ['REQUEST_METHOD']} {path}?{query}".rstrip("?"), _body(environ))
        if path != "/status" and not path.startswith("/payments"):
            return self._falcon(environ, start_response)
        status, body = self._tell(path, {name: values[0] for name, values in parse_qs(query).items()})
        return _answer(start_response, status, body)

    def _tell(self, path: str, query: dict[str, str]) -> tuple[int, Status]:  # noqa: PLR0911  # one for each question
        if self.failing:
            return 503, {"title": "Try again", "detail": "too many payments are waiting"}
        match path.strip("/").split("/"):
            case ["status"]:
                return 200, told_after(self.status, int(query["after"]) if "after" in query else None)
            case ["payments"]:
                return 200, self._page(**query)
            case ["payments", name] if name in self.payments:
                return 200, self.payments[name]
            case ["payments", name, "history"] if name in self.histories:
                return 200, self.histories[name]
            case ["payments", name, "resolution"]:
                return 200, {"correlationId": name, "resolution": "applied"}
        return 404, {"detail": f"no payment was accepted under {path.removeprefix('/payments/')}"}

    def _page(self, state: str, limit: str, cursor: str = "0") -> Status:
        first, end = int(cursor), int(cursor) + int(limit)
        listed = self.lists.get(state, [])
        return {"payments": listed[first:end], "next": str(end) if end < len(listed) else None}


class ScriptedControls:
    """Stands for the controls of `ops/up`: carries out orders on its own state alone."""

    def __init__(self) -> None:
        self.state: Status = {
            "load": {"rate": 0, "sent": 0, "accepted": 0, "failed": 0},
            "processors": {name: {"plug": True, "delayMs": 0, "failureShare": 0.0} for name in ("default", "fallback")},
            "replicas": dict.fromkeys("123", "running"),
            "breakers": ["default", "fallback"],
        }
        self.refusal: str | None = None
        """Why orders are not carried out."""
        self.asked = _Asked()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, also one that a browser sends ahead of an order."""
        method, path, body = environ["REQUEST_METHOD"], environ["PATH_INFO"], _body(environ)
        if method == "OPTIONS":
            return _answer(start_response, 200, {}, environ)
        if method != "GET" and self.refusal:
            return _answer(start_response, 422, {"detail": self.refusal}, environ)
        match method, path.strip("/").split("/"):
            case "PUT", ["load"]:
                self.state["load"] |= body
            case "PUT", ["processors", name]:
                self.state["processors"][name] |= body
            case "POST", ["replicas", name, "kill"]:
                self.state["replicas"][name] = "killed"
        self.asked.add(f"{method} {path}", body)
        return _answer(start_response, 200, self.state, environ)


def _body(environ: WSGIEnvironment) -> Any:  # noqa: ANN401  # whatever JSON holds
    length = int(environ.get("CONTENT_LENGTH") or 0)
    return json.loads(environ["wsgi.input"].read(length)) if length else None


def _answer(
    start_response: StartResponse, status: int, body: Status, environ: WSGIEnvironment | None = None
) -> list[bytes]:
    headers = [("Content-Type", "application/json")]
    if environ:
        headers += [
            ("Access-Control-Allow-Origin", environ.get("HTTP_ORIGIN", "")),
            ("Access-Control-Allow-Methods", "GET, PUT, POST"),
            ("Access-Control-Allow-Headers", "Content-Type"),
        ]
    start_response(f"{status} {HTTPStatus(status).phrase}", headers)
    return [json.dumps(body).encode()]
