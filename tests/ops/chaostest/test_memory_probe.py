"""The memory of replicas and Postgres is read while they run, and the most of it is kept."""

import os
from types import SimpleNamespace
from typing import cast

from ops.chaostest import memory_probe
from ops.chaostest.memory_probe import MemoryProbe
from ops.stack.stack import Stack
from tests.waiting import wait_until

PSS_BYTES_MIN = 5_000_000


def test_the_most_memory_of_each_service_is_kept() -> None:
    replica = SimpleNamespace(name="replica-1", pid=os.getpid())
    stack = SimpleNamespace(replicas=[replica], postgres=SimpleNamespace(pid=os.getpid()))
    probe = MemoryProbe(cast("Stack", stack))
    probe.start()
    wait_until(lambda: len(probe.peaks) >= 2)
    replica.pid = None
    most = dict(probe.peaks)
    probe.stop()
    assert all(size > PSS_BYTES_MIN for size in most.values())
    assert most.keys() == {"replica-1", memory_probe.POSTGRES}
    assert probe.peaks["replica-1"] >= most["replica-1"]
