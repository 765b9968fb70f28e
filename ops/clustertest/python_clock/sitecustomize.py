"""Lets Python sleep under libfaketime; Python imports this module at its start if the folder is in PYTHONPATH.

From 3.11 on, `time.sleep` sleeps until an instant of the monotonic clock, which libfaketime 0.9.10 takes for one of the
wall clock: without this, every sleep fails (EINVAL), or lasts for years.
"""

import select
import time


def sleep(seconds: float) -> None:
    """Sleep, as `time.sleep` does."""
    if seconds > 0:
        select.select([], [], [], seconds)


time.sleep = sleep  # type: ignore[assignment]  # it also takes what only counts as a number
