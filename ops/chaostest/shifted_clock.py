"""The gateway with a wall clock that a chaos run sets; gunicorn serves it in place of the gateway itself."""

import mmap
import os
import struct
import time
from pathlib import Path

APPLICATION = "ops.chaostest.shifted_clock:application()"
"""What gunicorn is told to serve."""
CLOCK_DIR = "CLOCK_DIR"
"""The environment variable that names the folder with one `ClockFile` for each replica."""
_OFFSET = struct.Struct("<q")


class ClockFile:
    """By how much the clock of one replica is wrong: 8 bytes that the chaos run and the replica share."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            file.truncate(_OFFSET.size)
            self._shared = mmap.mmap(file.fileno(), _OFFSET.size)

    @property
    def offset_ms(self) -> int:
        """Milliseconds by which the clock is ahead; it may be set while the replica runs."""
        offset_ms: int = _OFFSET.unpack_from(self._shared)[0]
        return offset_ms

    @offset_ms.setter
    def offset_ms(self, offset_ms: int) -> None:
        _OFFSET.pack_into(self._shared, 0, offset_ms)


def application() -> object:
    """Shift the clock of this process as its file says, and return the gateway's application."""
    shift_clock(ClockFile(Path(os.environ[CLOCK_DIR]) / f"replica-{os.environ['REPLICA']}"))
    from gateway import main  # noqa: PLC0415  # it may be imported in the worker only

    return main.application()


def shift_clock(clock: ClockFile) -> None:
    """Let the wall clock of the module `time` be wrong by what the file says; monotonic time stays true."""
    true_ns, true_s = time.time_ns, time.time
    time.time_ns = lambda: true_ns() + clock.offset_ms * 1_000_000
    time.time = lambda: true_s() + clock.offset_ms / 1000
