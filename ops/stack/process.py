"""An operating-system process of the stack: started, watched, paused, killed and stopped."""

import contextlib
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from pathlib import Path

from ops import OpsError
from ops.environment import ROOT

POLL_S = 0.02
OUTPUT_BYTES_MAX = 65536
RESTART_BACKOFF_S = 0.5
RESTART_BACKOFF_S_MAX = 10
STEADY_S = 30
"""After a process has run this long, the next restart waits only for the shortest backoff again."""

# Linux ends a child (PR_SET_PDEATHSIG) with the *thread* that started it. This thread lives as long as the process, so
# that children may be started from threads that end earlier.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


def launcher(stop_signal: signal.Signals, uid: int) -> list[str]:
    """Return the command-line prefix that makes a command end when this process dies.

    Args:
        stop_signal: what the command receives when this process dies.
        uid: the account to run the command as; -1 keeps the present one.
    """
    script = Path(__file__).with_name("launch.py")
    return [sys.executable, "-I", "-S", str(script), str(os.getpid()), str(int(stop_signal)), str(uid)]


class ManagedProcess:
    """A named command that writes its output to `log` and may be started again after it has ended.

    It runs in a session of its own, which Ctrl-C in a terminal does not reach, and ends when this process dies.
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
        cwd: Path = ROOT,
    ) -> None:
        self.name = name
        self.log = log
        self._command = command
        self._env = env
        self._stop_signal = stop_signal
        self._uid = uid
        self._cwd = cwd
        self._popen: subprocess.Popen[bytes] | None = None
        self._log_offset = 0

    @property
    def pid(self) -> int | None:
        """The process id while the command is alive, else None."""
        return self._popen.pid if self._popen is not None and self._popen.poll() is None else None

    @property
    def exit_status(self) -> int | None:
        """The exit status, -N after signal N; None while the command is alive or was never started."""
        return self._popen.poll() if self._popen is not None else None

    def start(self) -> None:
        """Start the command, unless it is alive; return before it is ready (see `wait_ready`)."""
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
                cwd=self._cwd,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=tuple(keep_fds),
            ).result()

    def ready(self) -> bool:
        """Tell whether the command does its work; subclasses know how to find out."""
        return self.pid is not None

    def wait_ready(self, timeout_s: float = 60) -> None:
        """Wait until `ready` is true.

        Raises:
            OpsError: the process ended, or `timeout_s` seconds have passed.
        """
        deadline = time.monotonic() + timeout_s
        while not self.ready():
            self.check_alive()
            if time.monotonic() > deadline:
                raise OpsError(f"{self.name} is not ready after {timeout_s:.0f} s; its log: {self.log}")
            time.sleep(POLL_S)

    def check_alive(self) -> None:
        """Check that the process is alive.

        Raises:
            OpsError: it has ended; the message has its exit status and the end of its log.
        """
        if self.pid is None:
            raise OpsError(
                f"{self.name} ended with exit status {self.exit_status}; the end of {self.log}:{self.tail()}"
            )

    def output(self) -> str:
        """Return what the command has written since its last start, at most the last 64 KiB."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_offset, size - OUTPUT_BYTES_MAX))
            return log.read().decode(errors="replace")

    def tail(self, lines_max: int = 15) -> str:
        """Return the last lines of the output, each indented on a line of its own."""
        return "".join(f"\n    {line}" for line in self.output().splitlines()[-lines_max:])

    def pause(self) -> None:
        """Freeze the process and its children (SIGSTOP): connections stay open, but nothing is answered."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Let the process and its children continue after `pause`."""
        self._signal_all(signal.SIGCONT)

    def kill(self) -> None:
        """End the process and its children at once (SIGKILL), also children that outlived the process."""
        if self._popen is not None:
            self._signal_all(signal.SIGKILL)
            self._popen.wait()

    def terminate(self) -> None:
        """Ask the process to shut down, without waiting for it."""
        if self.pid is not None:
            os.kill(self.pid, self._stop_signal)
            self.resume()

    def stop(self, timeout_s: float = 10) -> None:
        """Shut the process down, or `kill` it after `timeout_s` seconds; may be called again."""
        self.terminate()
        if self._popen is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(timeout_s)
        self.kill()

    def _signal_all(self, number: signal.Signals) -> None:
        if self._popen is None:
            return
        children = _children(self._popen.pid)
        # The group comes first: after it, no member can fork a child that the list below lacks.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, number)
        for pid in children:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)


class ProcessState(Enum):
    """What a process that is restarted does."""

    STARTING = "starting"
    """It runs and is not ready yet."""
    RUNNING = "running"
    KILLED = "killed"
    """It has ended, and its restart is due later."""


class Restarter:
    """Starts a process again after it has ended, with a backoff that doubles while it keeps ending."""

    def __init__(self, process: ManagedProcess) -> None:
        self._process = process
        self._backoff_s = RESTART_BACKOFF_S
        self._restart_at_s: float | None = None
        self._started_at_s = -math.inf
        self._ready = True

    @property
    def state(self) -> ProcessState:
        """What state the process is in, as far as `check` has noticed."""
        if self._restart_at_s is not None:
            return ProcessState.KILLED
        return ProcessState.RUNNING if self._ready else ProcessState.STARTING

    def check(self, now_s: float, report: Callable[[str], None]) -> None:
        """Notice an end or do the restart that is due at `now_s` (monotonic seconds), and tell `report` of it."""
        process = self._process
        if self._restart_at_s is not None:
            if now_s >= self._restart_at_s:
                self._restart_at_s, self._started_at_s, self._ready = None, now_s, False
                process.start()
        elif process.pid is None:
            if now_s - self._started_at_s > STEADY_S:
                self._backoff_s = RESTART_BACKOFF_S
            ended = f"{process.name} ended with exit status {process.exit_status}"
            report(f"{ended}, again in {self._backoff_s} s{process.tail()}")
            self._restart_at_s = now_s + self._backoff_s
            self._backoff_s = min(2 * self._backoff_s, RESTART_BACKOFF_S_MAX)
        elif not self._ready and process.ready():
            self._ready = True
            report(f"{process.name:<12}{'ready again':<12}{now_s - self._started_at_s:6.2f} s")


def _children(pid: int) -> list[int]:
    # PostgreSQL's children have process groups of their own. Without /proc they are not found; they then end by
    # themselves when they notice that their parent is gone.
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
