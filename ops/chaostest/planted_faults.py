"""The gateway with faults planted in its process; gunicorn serves it in place of the gateway itself.

A chaos run switches the faults through a file that it shares with the process: a clock that is wrong, names that cannot
be looked up, a disk without room for the journal, a sync that fails.
"""

import _socket
import errno
import ipaddress
import mmap
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

APPLICATION = "ops.chaostest.planted_faults:application()"
"""What gunicorn is told to serve."""
PLANTED_DIR = "PLANTED_DIR"
"""The environment variable that names the folder with one `PlantedFaults` for each replica."""
LOOK_UP_S = 10.0
"""How long a look-up of a name takes before it fails, while names are slow."""
JOURNAL_SUFFIX = ".journal"
"""The end of the names of files that are out of room, or cannot be synced."""
_NUMBER = struct.Struct("<q")


class _Field:
    """One number in the shared file, which either side may set while the other runs."""

    def __init__(self, index: int) -> None:
        self._offset = index * _NUMBER.size

    def __get__(self, faults: "PlantedFaults", owner: type["PlantedFaults"]) -> int:
        number: int = _NUMBER.unpack_from(faults.shared, self._offset)[0]
        return number

    def __set__(self, faults: "PlantedFaults", number: int) -> None:
        _NUMBER.pack_into(faults.shared, self._offset, number)


class PlantedFaults:
    """The faults of one replica's process: a few numbers in a file that the chaos run and the replica share.

    All are 0 for none.
    """

    clock_offset_ms = _Field(0)
    """Milliseconds by which the wall clock is ahead."""
    names_are_slow = _Field(1)
    """1 while every look-up of a name takes `LOOK_UP_S` and then fails; literal addresses need none."""
    disk_is_full = _Field(2)
    """1 while every write to a file of the journal fails for want of room."""
    failing_syncs = _Field(3)
    """How many of the next syncs of a file of the journal fail."""
    _fields = 4

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            file.truncate(self._fields * _NUMBER.size)
            self.shared = mmap.mmap(file.fileno(), self._fields * _NUMBER.size)


def application() -> object:
    """Plant the faults of this replica in this process, and return the gateway's application."""
    faults = PlantedFaults(Path(os.environ[PLANTED_DIR]) / f"replica-{os.environ['REPLICA']}")
    # The product takes these functions when it is imported, which may be in the worker only.
    shift_clock(faults)
    slow_down_names(faults)
    damage_disk(faults)
    from gateway import main  # noqa: PLC0415  # see above

    return main.application()


def shift_clock(faults: PlantedFaults) -> None:
    """Let the wall clock of the module `time` be wrong by what the file says; monotonic time stays right."""
    true_ns, true_s = time.time_ns, time.time
    time.time_ns = lambda: true_ns() + faults.clock_offset_ms * 1_000_000
    time.time = lambda: true_s() + faults.clock_offset_ms / 1000


def slow_down_names(faults: PlantedFaults) -> None:
    """Let look-ups of names take long and fail while the file says so, each in the thread that asks.

    All look-ups end in one function of Python, also those for Postgres, which libpq is given the addresses for.
    """
    from gevent.monkey import get_original  # noqa: PLC0415  # of a process that gevent has patched

    true_getaddrinfo = _socket.getaddrinfo
    sleep: Callable[[float], None] = get_original("time", "sleep")

    def getaddrinfo(host: Any, port: Any, family: int = 0, kind: int = 0, protocol: int = 0, flags: int = 0) -> Any:  # noqa: ANN401  # as the true one
        if faults.names_are_slow and is_name(host) and not flags & _socket.AI_NUMERICHOST:
            sleep(LOOK_UP_S)
            raise _socket.gaierror(_socket.EAI_AGAIN, "the name server does not answer")
        return true_getaddrinfo(host, port, family, kind, protocol, flags)

    setattr(_socket, "getaddrinfo", getaddrinfo)  # noqa: B010  # the true one has types for every form


def is_name(host: object) -> bool:
    """Tell whether a host has to be looked up, so is not an address, a socket's folder or empty."""
    text = host.decode() if isinstance(host, bytes) else str(host or "")
    if not text or text.startswith("/"):
        return False
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return True
    return False


def damage_disk(faults: PlantedFaults) -> None:
    """Let writes and syncs of the journal's files fail while the file says so."""
    true_sync = os.fdatasync

    def fdatasync(fd: int) -> None:
        if faults.failing_syncs and _is_journal(fd):
            faults.failing_syncs -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        true_sync(fd)

    setattr(os, "fdatasync", fdatasync)  # noqa: B010  # the true one takes files too
    for name in ("write", "writev", "pwrite", "pwritev"):
        setattr(os, name, _needs_room(faults, getattr(os, name)))


def _needs_room(faults: PlantedFaults, true_write: Callable[..., int]) -> Callable[..., int]:
    def write(fd: int, *arguments: object) -> int:
        if faults.disk_is_full and _is_journal(fd):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return true_write(fd, *arguments)

    return write


def _is_journal(fd: int) -> bool:
    try:
        return Path(f"/proc/self/fd/{fd}").readlink().suffix == JOURNAL_SUFFIX
    except OSError:
        return False
