"""The addresses of hosts. A call never waits for a look-up if an address is known already."""

import socket
import time
from collections.abc import Callable
from math import inf
from typing import NamedTuple

from gevent.event import AsyncResult
from gevent.monkey import get_original
from gevent.threadpool import ThreadPool

from actors.logs import get_logger
from actors.outages import OutageReporter

logger = get_logger(__name__)

FRESH_S = 5.0
"""How long addresses are used before they are looked up again."""

THREAD_IDLE_S = 1
"""How long the thread for look-ups stays when there is nothing to look up."""


class ServerAddress(NamedTuple):
    """Where a server listens, as `socket` takes it."""

    family: int
    socket_address: tuple[str | int, ...]


Resolve = Callable[[str, int], tuple[ServerAddress, ...]]
_Found = tuple[ServerAddress, ...] | OSError

# The function of gevent would use one of the threads that the whole process shares.
_getaddrinfo = get_original("socket", "getaddrinfo")


def resolve(host: str, port: int, flags: int = 0) -> tuple[ServerAddress, ...]:
    """Look a host up; blocks the thread.

    Raises:
        socket.gaierror: the host has no address.
    """
    try:
        found = _getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    except UnicodeError as error:
        raise socket.gaierror(socket.EAI_NONAME, f"{host!r} is no name: {error}") from error
    return tuple(ServerAddress(family, socket_address) for family, _, _, _, socket_address in found)


class HostAddresses:
    """Remembers where a host is. Addresses that were found stay in use until a look-up finds others.

    At most one look-up is under way, in a thread of its own, so that a slow name server holds up nothing else. A host
    that is given by its address is never looked up.
    """

    def __init__(self, host: str, port: int, resolve: Resolve = resolve, fresh_s: float = FRESH_S) -> None:
        """`resolve` looks a name up, and blocks its thread meanwhile; what it found is used for `fresh_s` seconds."""
        self._fresh_s = fresh_s
        self._host = host
        event = "a host's name has no address: its last one stays in use"
        self._outage = OutageReporter(logger, event, time.monotonic, host=host)
        self._port = port
        self._resolve = resolve
        self._known = _numeric(host, port)
        self._fresh_until_s = inf if self._known else -inf
        self._threads = ThreadPool(1, idle_task_timeout=THREAD_IDLE_S)
        self._looking_up: AsyncResult[_Found] | None = None

    def get(self, deadline_s: float) -> tuple[ServerAddress, ...]:
        """Return the addresses; only where none is known yet, wait for a look-up until `deadline_s` (monotonic).

        Raises:
            OSError: no address is known, and the look-up failed, or goes on after the deadline (`TimeoutError`).
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
            raise TimeoutError(f"no address for {self._host} yet")
        if isinstance(found, OSError):
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
        except OSError as error:
            return error

    def _looked_up(self, result: "AsyncResult[_Found]") -> None:
        self._looking_up = None
        found = result.value
        if isinstance(found, tuple):
            self._known = found
            self._outage.succeeded()
        elif self._known:
            self._outage.failed(reason=repr(found))
        if self._known:
            self._fresh_until_s = time.monotonic() + self._fresh_s


class HostDirectory:
    """Remembers where hosts are, each under its name and port. All who share it share the look-ups."""

    def __init__(self, resolve: Resolve = resolve, fresh_s: float = FRESH_S) -> None:
        """`resolve` and `fresh_s` are those of each `HostAddresses`."""
        self._resolve = resolve
        self._fresh_s = fresh_s
        self._hosts: dict[tuple[str, int], HostAddresses] = {}

    def of(self, host: str, port: int) -> HostAddresses:
        """Give the addresses of a host. Each one is remembered for good, so they may only come from the settings."""
        found = self._hosts.get((host, port))
        if found is None:
            found = self._hosts[host, port] = HostAddresses(host, port, self._resolve, self._fresh_s)
        return found


def _numeric(host: str, port: int) -> tuple[ServerAddress, ...]:
    """Give the address of a host that is written as one; nothing where it is a name."""
    try:
        return resolve(host, port, socket.AI_NUMERICHOST)
    except OSError:
        return ()
