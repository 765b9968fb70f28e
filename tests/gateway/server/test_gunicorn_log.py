import logging
from collections.abc import Iterator

import gevent
import pytest

from gateway.server.gunicorn_log import log_errors_of_greenlets


@pytest.fixture
def logged_errors() -> Iterator[None]:
    log_errors_of_greenlets()
    yield
    del gevent.get_hub().print_exception


@pytest.mark.usefixtures("logged_errors")
def test_an_error_that_ends_a_greenlet_is_a_line_of_the_log_with_its_traceback(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise RuntimeError("planted")

    gevent.spawn(fail).join()
    gevent.wait()
    (record,) = [each for each in caplog.records if "a greenlet failed" in each.getMessage()]
    assert record.levelno == logging.ERROR
    assert "planted" in caplog.text
    assert capfd.readouterr().err == ""
