"""The memory probe: reads every few seconds how much memory each replica and Postgres need."""

from ops.benchmarks.usage import private_bytes, pss_bytes
from ops.chaostest.threads import ThreadGroup
from ops.stack.stack import Stack

PERIOD_S = 3.0
POSTGRES = "postgres"


class MemoryProbe:
    """A thread that reads from `start` to `stop`, which are called once each."""

    def __init__(self, stack: Stack) -> None:
        self.peaks: dict[str, int] = {}
        """The most bytes that were ever read, by service: proportional for replicas, private for Postgres."""
        self._stack = stack
        self._threads = ThreadGroup()
        self._threads.add("memory-probe", self._read_all)

    def start(self) -> None:
        """Start to read."""
        self._threads.start()

    def stop(self) -> None:
        """Read no more; may be called again."""
        self._threads.stop()

    def _read_all(self) -> None:
        while not self._threads.stopping.wait(PERIOD_S):
            for replica in self._stack.replicas:
                self._keep(replica.name, 0 if replica.pid is None else pss_bytes(replica.pid))
            if self._stack.postgres is not None and self._stack.postgres.pid is not None:
                self._keep(POSTGRES, private_bytes(self._stack.postgres.pid))

    def _keep(self, name: str, size_bytes: int) -> None:
        self.peaks[name] = max(self.peaks.get(name, 0), size_bytes)
