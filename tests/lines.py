"""What was logged, as events with fields."""

from typing import Any

import pytest


def lines(caplog: pytest.LogCaptureFixture, *names: str) -> list[Any]:
    """Give the events of all lines; with names of fields, a tuple of the event and these fields for each."""
    told = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    return [(each["event"], *map(each.get, names)) if names else each["event"] for each in told]
