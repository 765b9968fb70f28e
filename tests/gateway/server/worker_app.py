"""What the worker's tests run in a gunicorn of their own: an app that tells what it was given, a hasty worker."""

import itertools
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from gevent.os import tp_read

from gateway.server.worker import GatewayWorker

OBJECTS = ("wsgi.errors", "wsgi.early_hints", "gunicorn.socket")
ENTERED_FD, RELEASE_FD = (int(fd) for fd in os.environ.get("HOLD_FDS", "-1,-1").split(","))
COUNTER = itertools.count(1)
LARGE_BYTES = int(os.environ["LARGE_BYTES"])

StartResponse = Callable[..., Callable[[bytes], None]]
Environ = dict[str, Any]


class HastyWorker(GatewayWorker):
    """Gives a request half a second to arrive."""

    REQUEST_DEADLINE_S = 0.5


class PatientWorker(GatewayWorker):
    """Waits for idle clients as long as the tests do, when it stops."""

    IDLE_GRACE_S = REQUESTS_S_MAX = 20.0


def tell(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    stream = environ.pop("wsgi.input")
    told = {key: value for key, value in environ.items() if key not in OBJECTS}
    told["wsgi.file_wrapper"] = environ["wsgi.file_wrapper"].__name__
    told["objects"] = [key for key in OBJECTS if key in environ]
    told["line"] = stream.readline().decode("latin-1")
    told["rest"] = stream.read().decode("latin-1")
    told["worker"] = os.getpid()
    body = json.dumps(told).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def unmeasured(_: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b"whole"]


def pieces(_: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", [])
    yield b"first,"
    yield b""
    yield b"second"


def written(_: Environ, start_response: StartResponse) -> Iterable[bytes]:
    write = start_response("200 OK", [])
    write(b"first,")
    write(b"second")
    return []


def short(_: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "100")])
    return [b"cut"]


def nothing(_: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("204 No Content", [])
    return []


def refuse(_: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("413 Content Too Large", [("Content-Length", "0")])
    return []


def split(_: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("X-Injected", "a\r\nSet-Cookie: b")])
    return []


def fail(_: Environ, __: StartResponse) -> Iterable[bytes]:
    raise RuntimeError("planted")


def leave(_: Environ, __: StartResponse) -> Iterable[bytes]:
    raise SystemExit(3)


def fail_midway(_: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", [])
    yield b"first,"
    raise RuntimeError("planted")


def hold(_: Environ, start_response: StartResponse) -> Iterable[bytes]:
    os.write(ENTERED_FD, b"e")
    tp_read(RELEASE_FD, 1)
    start_response("200 OK", [])
    return [b"held"]


def pid(_: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b"%d" % os.getpid()]


def count(_: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b"%d" % next(COUNTER)]


def large(_: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b"a" * LARGE_BYTES]


def file(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    content = tempfile.TemporaryFile()  # noqa: SIM115  # the server closes it
    content.write(b"a" * LARGE_BYTES)
    content.seek(0)
    start_response("200 OK", [("Content-Length", str(LARGE_BYTES))])
    wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](content)
    return wrapped


ROUTES = {
    f"/{app.__name__}": app
    for app in (unmeasured, written, short, nothing, refuse, split, fail, leave, hold, pid, count, large, file)
}
ROUTES |= {"/pieces": pieces, "/fail_midway": fail_midway}


def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    return ROUTES.get(environ["PATH_INFO"], tell)(environ, start_response)
