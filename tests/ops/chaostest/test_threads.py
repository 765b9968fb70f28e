"""A group of threads is started together and ends together."""

import threading

import pytest

from ops.chaostest.threads import ThreadGroup

DEADLINE_S = 30


def test_threads_run_until_the_group_is_stopped() -> None:
    group, running, ended = ThreadGroup(), threading.Barrier(3), list[str]()

    def work(name: str) -> None:
        running.wait(DEADLINE_S)
        group.stopping.wait(DEADLINE_S)
        ended.append(name)

    group.add("first", work, "first")
    group.add("second", work, "second")
    group.start()
    running.wait(DEADLINE_S)
    assert ended == []
    group.stop()
    assert sorted(ended) == ["first", "second"]
    group.stop()


def test_a_group_that_was_never_started_can_be_stopped() -> None:
    group = ThreadGroup()
    group.add("never", pytest.fail, "it was started")
    group.stop()
    assert group.stopping.is_set()
