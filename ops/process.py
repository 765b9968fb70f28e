"""One part of the stack as an operating-system process: started, watched, paused, killed, ended."""

import contextlib
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ops import OpsError

ROOT = Path(__file__).resolve().parent.parent
"""The checkout: every part runs in it."""

POLL_S = 0.02
OUTPUT_BYTES_MAX = 65536
RESTART_BACKOFF_S = 0.5
RESTART_BACKOFF_S_MAX = 10
STEADY_S = 30
"""A part that lived this long begins again with the shortest backoff."""

# Linux ties a child to the *thread* that started it: started from a thread that ends, it would end with that. This one
# lives as long as the process.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


def launcher(stop_signal: signal.Signals, uid: int) -> list[str]:
    """Give the words before a command that make it end with this process; `uid` is -1 to keep the account."""
    script = Path(__file__).with_name("launch.py")
    return [sys.executable, "-I", "-S", str(script), str(os.getpid()), str(int(stop_signal)), str(uid)]


class Process:
    """A named command whose output goes to `log`; it may be started again after it ended.

    It leads a session of its own, so that a terminal's Ctrl-C doesn't reach it, and is ended when this process dies.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        uid: int = -1,
    ) -> None:
        self.name = name
        self.log = log
        self._command = command
        self._env = env
        self._stop_signal = stop_signal
        self._uid = uid
        self._popen: subprocess.Popen[bytes] | None = None
        self._log_offset = 0

    @property
    def pid(self) -> int | None:
        """The leader's process id while it is alive."""
        return self._popen.pid if self._popen is not None and self._popen.poll() is None else None

    @property
    def exit_status(self) -> int | None:
        """What it ended with, -N for signal N; None while it is alive or before its first start."""
        return self._popen.poll() if self._popen is not None else None

    def start(self) -> None:
        """Start it; does nothing while it is alive. `wait_ready` tells when it serves."""
        if self.pid is None:
            self.kill()
            self._spawn()

    def _spawn(self, keep_fds: Iterable[int] = ()) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._log_offset = log.tell()
            self._popen = _spawner.submit(
                subprocess.Popen,
                [*launcher(self._stop_signal, self._uid), *self._command],
                cwd=ROOT,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=tuple(keep_fds),
            ).result()

    def ready(self) -> bool:
        """Ask it whether it serves; parts say how."""
        return self.pid is not None

    def wait_ready(self, timeout_s: float = 60) -> None:
        """Wait until it serves.

        Raises:
            OpsError: it ended, or `timeout_s` passed.
        """
        deadline = time.monotonic() + timeout_s
        while not self.ready():
            self.check_alive()
            if time.monotonic() > deadline:
                raise OpsError(f"{self.name} is not ready after {timeout_s:.0f} s; its log: {self.log}")
            time.sleep(POLL_S)

    def check_alive(self) -> None:
        """Do nothing while it is alive.

        Raises:
            OpsError: it ended; with its exit status and the end of its log.
        """
        if self.pid is None:
            raise OpsError(
                f"{self.name} ended with exit status {self.exit_status}; the end of {self.log}:{self.tail()}"
            )

    def output(self) -> str:
        """What it has written since its last start, at most the last 64 KiB of it."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_offset, size - OUTPUT_BYTES_MAX))
            return log.read().decode(errors="replace")

    def tail(self, lines_max: int = 15) -> str:
        """Give the last lines of its output, each indented on a new line."""
        return "".join(f"\n    {line}" for line in self.output().splitlines()[-lines_max:])

    def pause(self) -> None:
        """Freeze it and its children (SIGSTOP): it holds its connections and answers nothing."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self._signal_all(signal.SIGCONT)

    def kill(self) -> None:
        """End it and its children at once (SIGKILL), and whatever a dead leader left in its session."""
        if self._popen is not None:
            self._signal_all(signal.SIGKILL)
            self._popen.wait()

    def terminate(self) -> None:
        """Ask it to end in good order; doesn't wait."""
        if self.pid is not None:
            os.kill(self.pid, self._stop_signal)
            self.resume()

    def stop(self, timeout_s: float = 10) -> None:
        """End it in good order, or by `kill` where that takes longer than `timeout_s`. May be called again."""
        self.terminate()
        if self._popen is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(timeout_s)
        self.kill()

    def _signal_all(self, number: signal.Signals) -> None:
        if self._popen is None:
            return
        children = _children(self._popen.pid)
        # The group first: what its leader could still fork would be missed.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, number)
        for pid in children:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)


class Keeper:
    """Starts a part again after it ended: at once it would spin, so with backoff."""

    def __init__(self, part: Process) -> None:
        self._part = part
        self._backoff_s = RESTART_BACKOFF_S
        self._restart_at: float | None = None
        self._started_at = -math.inf
        self._ready = True

    def look(self, now: float, report: Callable[[str], None]) -> None:
        """Do what is due at `now` (monotonic seconds), in one line to `report` with the end of the part's log."""
        part = self._part
        if self._restart_at is not None:
            if now >= self._restart_at:
                self._restart_at, self._started_at, self._ready = None, now, False
                part.start()
        elif part.pid is None:
            if now - self._started_at > STEADY_S:
                self._backoff_s = RESTART_BACKOFF_S
            report(f"{part.name} ended with exit status {part.exit_status}, again in {self._backoff_s} s{part.tail()}")
            self._restart_at = now + self._backoff_s
            self._backoff_s = min(2 * self._backoff_s, RESTART_BACKOFF_S_MAX)
        elif not self._ready and part.ready():
            self._ready = True
            report(f"{part.name:<12}{'ready again':<12}{now - self._started_at:6.2f} s")


def _children(pid: int) -> list[int]:
    # PostgreSQL's children lead groups of their own. Where /proc doesn't tell, they are left to notice by themselves.
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
