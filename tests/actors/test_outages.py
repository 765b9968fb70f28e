"""What fails many times is told in few lines, which bear what was noted."""

import logging
from typing import Any

import pytest

from actors.domain.outage_log import QUIET_S, REMIND_S
from actors.logs import get_logger
from actors.outages import CHECK_S, TimedOutageReporter
from tests.actors.fakes import VirtualRuntime
from tests.lines import lines

EVENT = "it fails"


class Part:
    def __init__(self, caplog: pytest.LogCaptureFixture, level: str = "warning") -> None:
        caplog.set_level(logging.DEBUG)
        self.runtime = VirtualRuntime()
        self.reporter = TimedOutageReporter(get_logger("part"), EVENT, self.runtime, level, part="a")

    def advance(self, seconds: float) -> None:
        for _ in range(round(seconds)):
            self.runtime.advance(1.0)
            self.runtime.run_spawned()


def told(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    told: list[Any] = [record.msg for record in caplog.records]
    return [{name: value for name, value in each.items() if name != "event"} for each in told]


def test_the_end_is_told_though_nothing_is_tried_any_more(caplog: pytest.LogCaptureFixture) -> None:
    part = Part(caplog, "error")
    part.reporter.failed(reason="planted")
    part.advance(3)
    part.reporter.succeeded()
    part.advance(QUIET_S + CHECK_S)
    assert told(caplog) == [
        {"part": "a", "reason": "planted", "outage": "began"},
        {"part": "a", "outage": "ended", "failures": 1, "lasted_s": 3.0},
    ]
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    part.advance(REMIND_S)
    assert part.runtime.timers == []


def test_what_nobody_tries_any_more_is_not_told_of_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    part = Part(caplog)
    part.reporter.failed()
    part.advance(10 * REMIND_S)
    assert lines(caplog, "outage") == [(EVENT, "began"), (EVENT, "lasts"), (EVENT, "lasts")]
    assert part.runtime.timers == []


def test_what_occurs_once_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    part = Part(caplog)
    part.reporter.occurred(3, payment=1)
    part.advance(2 * REMIND_S)
    assert told(caplog) == [{"part": "a", "payment": 1, "count": 3}]


def test_what_occurs_again_and_again_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    part = Part(caplog)
    for number in range(100):
        part.reporter.occurred(payment=number)
        part.advance(1)
    part.advance(QUIET_S + CHECK_S)
    assert told(caplog) == [
        {"part": "a", "payment": 0},
        {"part": "a", "payment": 59, "count": 59},
        {"part": "a", "payment": 99, "count": 40},
    ]
