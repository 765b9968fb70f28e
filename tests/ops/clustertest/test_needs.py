"""Where a cluster cannot run, it says what is missing."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from ops import OpsError
from ops.clustertest import needs


def test_programs_that_are_missing_are_named_by_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    found = needs.missing(
        wrong_clocks=False,
        is_there=lambda name: name not in {"etcd", "ip", "ss"},
        binaries=lambda: None,
        may=lambda: True,
    )
    assert found == ["packages, as Debian calls them: apt-get install etcd-server iproute2 postgresql"]


def test_nothing_is_missing_where_all_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    is_there: Any = {"is_there": lambda _: True, "binaries": lambda: Path("/bin")}
    assert needs.missing(wrong_clocks=False, **is_there, may=lambda: True) == []
    assert needs.missing(wrong_clocks=False, **is_there, may=lambda: False) == [
        "the right to make network namespaces, which a container has with --privileged"
    ]


def test_who_is_not_root_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(OpsError, match="this machine lacks root, who alone may make network namespaces"):
        needs.find(wrong_clocks=False)


def test_another_system_than_linux_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert needs.missing(wrong_clocks=False) == ["Linux, since a host is a network namespace"]
