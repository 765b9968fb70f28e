"""A gateway whose name server is slow: `tests.end_to_end.slow_names:application()`.

The ports whose hosts cannot be looked up stand in the file at `slow_path`, one a line. Such a look-up takes 10 s, and
then fails. Whoever uses the threads for look-ups that gevent shares over the whole process is told of in the log.
"""

import _socket
import os
import sys
from pathlib import Path
from typing import Any
from wsgiref.types import WSGIApplication

from gevent.monkey import get_original
from gevent.resolver.thread import Resolver

from gateway import main

LOOK_UP_S = 10.0
SHARED = "the shared resolver was asked for"
IN_LOOP = "the event loop itself has looked up"

_sleep = get_original("time", "sleep")
_thread_id = get_original("threading", "get_ident")
_look_up = _socket.getaddrinfo
_ask_shared = Resolver.getaddrinfo


def slow_path(state_dir: Path) -> Path:
    """Return the file into which a test writes the ports."""
    return state_dir / "slow-names"


def _slow_ports() -> list[str]:
    path = slow_path(Path(os.environ["JOURNAL_DIR"]).parent)
    return path.read_text().split() if path.exists() else []


def application() -> WSGIApplication:
    """Build the gateway's own application over the slow name server."""
    loop_thread = _thread_id()

    def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  # as the original
        if args[3:4] == (_socket.AI_NUMERICHOST,):
            return _look_up(host, port, *args, **kwargs)
        if _thread_id() == loop_thread:
            print(IN_LOOP, host, port, file=sys.stderr, flush=True)  # noqa: T201  # the replica's log
        if str(port) in _slow_ports():
            _sleep(LOOK_UP_S)
            raise _socket.gaierror(_socket.EAI_AGAIN, "planted")
        return _look_up(host, port, *args, **kwargs)

    def ask_shared(self: Resolver, host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  # the same
        print(SHARED, host, port, file=sys.stderr, flush=True)  # noqa: T201  # the replica's log
        return _ask_shared(self, host, port, *args, **kwargs)

    _socket.getaddrinfo = getaddrinfo
    Resolver.getaddrinfo = ask_shared  # type: ignore[method-assign]  # the very resolver of this process
    return main.application()
