"""The addresses of a host, looked up without ever holding up a call that knows one already."""

import logging
import socket
import time
from collections.abc import Callable
from math import inf
from typing import Self
from urllib.parse import urlsplit

from gevent.event import AsyncResult
from gevent.monkey import get_original
from gevent.threadpool import ThreadPool

from actors.adapters.http_connection import CallDeadlineError, ServerAddress

logger = logging.getLogger(__name__)

HTTP_PORT = 80
FRESH_S = 5.0
"""How long addresses are used before they are looked up again."""

THREAD_IDLE_S = 1
"""How long the thread for look-ups stays when there is nothing to look up."""

Resolve = Callable[[str, int], tuple[ServerAddress, ...]]
_Found = tuple[ServerAddress, ...] | OSError | UnicodeError

# gevent's own would take one of the threads that the whole process shares.
_getaddrinfo = get_original("socket", "getaddrinfo")


def resolve(host: str, port: int) -> tuple[ServerAddress, ...]:
    """Look a host up; blocks the thread.

    Raises:
        socket.gaierror: the host has no address.
    """
    found = _getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(ServerAddress(family, socket_address) for family, _, _, _, socket_address in found)


class HostAddresses:
    """Remembers where a host is. Addresses that were found stay in use until a look-up finds others.

    At most one look-up is under way, in a thread of its own, so that a slow name server holds up nothing else.
    """

    @classmethod
    def of_url(cls, url: str) -> Self:
        """Remember where the host of an `http` URL is."""
        parts = urlsplit(url)
        return cls(parts.hostname or "", parts.port or HTTP_PORT)

    def __init__(self, host: str, port: int, resolve: Resolve = resolve, fresh_s: float = FRESH_S) -> None:
        """`resolve` looks a name up, and blocks its thread meanwhile; what it found is used for `fresh_s` seconds."""
        self._fresh_s = fresh_s
        self._host = host
        self._port = port
        self._resolve = resolve
        self._known: tuple[ServerAddress, ...] = ()
        self._fresh_until_s = -inf
        self._threads = ThreadPool(1, idle_task_timeout=THREAD_IDLE_S)
        self._looking_up: AsyncResult[_Found] | None = None

    def get(self, deadline_s: float) -> tuple[ServerAddress, ...]:
        """Return the addresses; only where none is known yet, wait for a look-up until `deadline_s` (monotonic).

        Raises:
            OSError: no address is known, and the look-up failed.
            UnicodeError: the host is no name that can be looked up.
            CallDeadlineError: no address is known, and the deadline has passed.
        """
        now_s = time.monotonic()
        if now_s < self._fresh_until_s:
            return self._known
        looking_up = self._looking_up or self._look_up()
        if self._known:
            return self._known
        looking_up.wait(max(0.0, deadline_s - now_s))
        found = looking_up.value
        if found is None:
            raise CallDeadlineError("no address")
        if isinstance(found, Exception):
            raise found
        return found

    def _look_up(self) -> "AsyncResult[_Found]":
        self._looking_up = looking_up = self._threads.spawn(self._find)
        looking_up.rawlink(self._looked_up)
        return looking_up

    def _find(self) -> _Found:
        # The thread's pool would print an error that is raised.
        try:
            return self._resolve(self._host, self._port)
        except (OSError, UnicodeError) as error:
            return error

    def _looked_up(self, result: "AsyncResult[_Found]") -> None:
        self._looking_up = None
        found = result.value
        if isinstance(found, tuple):
            self._known = found
        elif self._known:
            logger.warning("no address for %s, its last one stays in use: %r", self._host, found)
        if self._known:
            self._fresh_until_s = time.monotonic() + self._fresh_s
