"""Waits for a condition that another process or thread brings about."""

import time
from collections.abc import Callable

WAIT_S_MAX = 30.0


def wait_until(
    holds: Callable[[], bool], tell: Callable[[], str] = lambda: "", *, wait_s_max: float = WAIT_S_MAX
) -> None:
    """Wait until `holds` is true; fail with what `tell` says when that takes too long."""
    deadline_s = time.monotonic() + wait_s_max
    while not holds():
        assert time.monotonic() < deadline_s, f"not within {wait_s_max} s: {tell()}"
        time.sleep(0.02)
