"""Whoever restarts what has ended leaves a host alone while its processes are started or killed together."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ops.clustertest import hosts
from ops.clustertest.hosts import Host
from ops.clustertest.plan import ClusterPlan


class IdleProcess:
    """A process that starts nothing."""

    def start(self) -> None:
        """Do nothing."""


def make_host(prepare: Callable[[], None]) -> Host:
    plan = ClusterPlan(1, Path("state"))
    processes: Any = {"etcd": IdleProcess()}
    parts: Any = None
    return Host(plan.hosts[0], plan, processes, links=parts, clock=parts, disks={}, prepare=prepare)


def test_the_watch_looks_after_the_processes_of_a_host_that_is_up() -> None:
    host, looked_after = make_host(lambda: None), list[Any]()
    host.watch(looked_after.append)
    assert looked_after == []
    host.start()
    host.watch(looked_after.append)
    assert looked_after == list(host.processes.values())


def test_the_watch_starts_nothing_while_the_host_starts_or_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    meanwhile, looked_after = list[str](), list[Any]()

    def watch(*_: object) -> None:
        meanwhile.append("watched")
        host.watch(looked_after.append)

    monkeypatch.setattr(hosts, "kill_all", watch)
    host = make_host(watch)
    host.start()
    host.kill()
    host.watch(looked_after.append)
    assert (meanwhile, looked_after) == (["watched", "watched"], [])
