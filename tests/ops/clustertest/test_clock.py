"""The wall clock of one host."""

from pathlib import Path

import pytest

from ops import OpsError
from ops.clustertest.clock import HostClock

MEMORY = Path("/dev/shm/cluster/clock")  # noqa: S108 - nothing is made there


def test_what_hosts_with_wrong_clocks_could_not_see_is_refused() -> None:
    with pytest.raises(OpsError, match=f"{MEMORY.parent} is in .*, which hosts with wrong clocks do not see"):
        HostClock(MEMORY, can_be_wrong=True)


def test_hosts_with_right_clocks_can_be_anywhere() -> None:
    assert HostClock(MEMORY, can_be_wrong=False).prefix == []
