"""The processes of one host, each by its role."""

import contextlib
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ops.clustertest.namespaces import inside
from ops.clustertest.plan import Place
from ops.clustertest.probes import Probe
from ops.stack.process import POLL_S, ManagedProcess, launcher

STOP_S_MAX = 2.0


class HostProcess(ManagedProcess):
    """A process in the namespace of a place, which is started, paused, killed and restarted like any of a stack."""

    def __init__(
        self,
        place: Place,
        role: str,
        command: Sequence[str],
        *,
        log_dir: Path,
        probe: Probe,
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        uid: int = -1,
    ) -> None:
        """`probe` tells whether it does its work. Where `uid` is not -1, it runs as that account.

        `prefix` is run on the place before the account is changed.
        """
        # The account is changed inside the namespace, since only root may enter one.
        whole = [*inside(place), *prefix, *(launcher(signal.SIGTERM, uid) if uid != -1 else ()), *command]
        super().__init__(f"{place.name} {role}", whole, log=log_dir / f"{role}.log", env=env)
        self.role = role
        self._probe = probe

    def ready(self) -> bool:
        """Tell whether the process does its work."""
        return self.pid is not None and self._probe()

    def restart(self) -> None:
        """Kill the process, and start it again."""
        self.kill()
        self.start()


class ServerOfPatroni:
    """The PostgreSQL server of a host. Patroni starts it, and does so again after it has ended."""

    def __init__(self, data: Path) -> None:
        self.role = "postgres"
        self._data = data

    @property
    def pid(self) -> int | None:
        """The id of the server's first process while there is one, else None."""
        try:
            pid = int((self._data / "postmaster.pid").read_text().splitlines()[0])
            os.kill(pid, 0)
        except (OSError, ValueError, IndexError):
            return None
        return pid

    def kill(self) -> None:
        """End the server's first process at once; the others end when they notice. Patroni starts it again."""
        self._signal(signal.SIGKILL, with_children=True)

    def pause(self) -> None:
        """Freeze all processes of the server."""
        self._signal(signal.SIGSTOP, with_children=True)

    def resume(self) -> None:
        """Let all processes of the server continue."""
        self._signal(signal.SIGCONT, with_children=True)

    def stop(self) -> None:
        """Shut the server down without a checkpoint, and wait for its end, at most `STOP_S_MAX`."""
        deadline = time.monotonic() + STOP_S_MAX
        self._signal(signal.SIGQUIT, with_children=False)
        while self.pid is not None and time.monotonic() < deadline:
            time.sleep(POLL_S)

    def restart(self) -> None:
        """Kill the server; Patroni starts it again."""
        self.kill()

    def _signal(self, number: signal.Signals, *, with_children: bool) -> None:
        pid = self.pid
        if pid is None:
            return
        children: list[int] = []
        if with_children:
            with contextlib.suppress(OSError):
                children = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        for each in (pid, *children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, number)
