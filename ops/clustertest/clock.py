"""The wall clock of one host, which libfaketime can make wrong while processes run."""

from collections.abc import Mapping
from pathlib import Path

from ops import OpsError
from ops.clustertest.namespaces import program

LIBRARIES = (
    Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"),
    Path("/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1"),
    Path("/usr/lib/faketime/libfaketime.so.1"),
)
"""The paths at which Debian's package `libfaketime` installs the library."""
PYTHON_CLOCK = Path(__file__).with_name("python_clock")
"""The folder of the module that every Python with a wrong clock has to import first."""
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - chosen by libfaketime
"""Where libfaketime leaves files of processes that are killed. So each process gets a file system of its own there."""
SEEN_AFTER_S = 1
"""A process sees a change of its host's clock after this time at the latest."""


def library() -> Path | None:
    """Return the library that makes clocks wrong, or None where it is not installed."""
    return next((path for path in LIBRARIES if path.exists()), None)


class HostClock:
    """The wall clock that the processes of one host see, and how wrong it is.

    Monotonic time stays right. etcd is written in Go and asks the kernel itself, so that it sees no change.
    """

    def __init__(self, file: Path, *, can_be_wrong: bool) -> None:
        """`file` tells libfaketime the offset; without `can_be_wrong`, processes are started without the library.

        Raises:
            OpsError: the clock can be wrong, and `file` is below /dev/shm, over which each of its processes gets a file
                system of its own.
        """
        if can_be_wrong and file.resolve().is_relative_to(SHARED_MEMORY):
            hidden = f"{file.parent} is in {SHARED_MEMORY}, which hosts with wrong clocks do not see"
            raise OpsError(f"{hidden}: choose a folder elsewhere")
        self._file = file
        self._library = library() if can_be_wrong else None
        self._offset_s = 0.0

    @property
    def offset_s(self) -> float:
        """How many seconds the clock is fast; negative where it is slow."""
        return self._offset_s

    @property
    def prefix(self) -> list[str]:
        """The command-line prefix that lets a command see this clock; the command needs its whole path."""
        if self._library is None:
            return []
        script = f'mount -t tmpfs -o mode=1777 fiel-clock {SHARED_MEMORY} && exec env LD_PRELOAD="$0" "$@"'
        return [program("unshare"), "--mount", program("sh"), "-c", script, str(self._library)]

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment variables that a process needs besides `prefix`."""
        if self._library is None:
            return {}
        return {
            "PYTHONPATH": str(PYTHON_CLOCK),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": str(SEEN_AFTER_S),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            # Files keep their right times, so that nothing looks older than it is once the clock is right again.
            "NO_FAKE_STAT": "1",
        }

    def step(self, offset_s: float) -> None:
        """Make the clock fast by `offset_s` seconds, or slow where it is negative; 0 makes it right."""
        assert self._library is not None or not offset_s, "the cluster was started without `wrong_clocks`"  # noqa: S101 - a caller's mistake
        self._offset_s = offset_s
        self._file.parent.mkdir(parents=True, exist_ok=True)
        new = self._file.with_suffix(".new")
        new.write_text(f"{offset_s:+f}\n")
        new.replace(self._file)
