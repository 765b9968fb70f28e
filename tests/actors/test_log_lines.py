"""Lines have one form whoever logs them, and hold no secret."""

import io
import json
import logging
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from structlog.contextvars import bound_contextvars

from actors.errors import SettingsError
from actors.log_lines import HIDDEN, Secrets, configure
from actors.log_settings import LogFormat, LogSettings
from actors.logs import get_logger

ROOT = Path(__file__).parents[2]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def own_handlers() -> Iterator[None]:
    """Give pytest its handlers back."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    # What is closed when the log is configured is pytest's otherwise.
    root.handlers.clear()
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:], root.level = before, level


def logging_to(stream: io.StringIO, environment: dict[str, str] | None = None) -> io.StringIO:
    environment = {"REPLICA": "1", **(environment or {})}
    configure(LogSettings.from_environment(environment), environment, stream)
    return stream


def parsed(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_its_time_level_event_logger_replica_and_fields() -> None:
    stream = logging_to(io.StringIO())
    get_logger("actors.router").info("a payment is late", correlation_id=UUID(int=1), waited_s=1.5)
    (line,) = parsed(stream)
    assert str(line.pop("timestamp")).endswith("Z")
    assert line == {
        "level": "info",
        "event": "a payment is late",
        "logger": "actors.router",
        "replica": "1",
        "correlation_id": str(UUID(int=1)),
        "waited_s": 1.5,
    }


def test_lines_of_libraries_and_warnings_have_the_same_form() -> None:
    stream = logging_to(io.StringIO())
    logging.getLogger("gunicorn.error").warning("Worker %s\nis gone", 3)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old", stacklevel=1)
    told = parsed(stream)
    assert [(each["logger"], each["level"]) for each in told] == [
        ("gunicorn.error", "warning"),
        ("py.warnings", "warning"),
    ]
    assert told[0]["event"] == "Worker 3 is gone"
    assert "UserWarning: old" in str(told[1]["event"])


def test_a_line_bears_what_is_bound_to_its_request() -> None:
    stream = logging_to(io.StringIO())
    with bound_contextvars(request_id="abc"):
        get_logger("a").warning("one")
        logging.getLogger("b").warning("two")
    get_logger("a").warning("three")
    assert [each.get("request_id") for each in parsed(stream)] == ["abc", "abc", None]


def test_an_error_is_one_line_with_its_traceback_in_a_field() -> None:
    stream = logging_to(io.StringIO())
    try:
        int("planted")
    except ValueError:
        get_logger("a").exception("it failed")
    (line,) = parsed(stream)
    assert str(line["exception"]).endswith("'planted'")


@pytest.mark.parametrize(
    ("form", "stream", "is_json"),
    [
        ("auto", io.StringIO(), True),
        ("auto", Terminal(), False),
        ("json", Terminal(), True),
        ("text", io.StringIO(), False),
    ],
)
def test_lines_are_readable_on_a_terminal_and_json_elsewhere(form: str, stream: io.StringIO, *, is_json: bool) -> None:
    logging_to(stream, {"LOG_FORMAT": form, "NO_COLOR": "1"})
    get_logger("a").warning("it rains", where="here and\nthere")
    written = stream.getvalue()
    assert written.count("\n") == 1
    assert written.startswith("{") is is_json
    assert is_json or ("[warning ] it rains" in written and r"where='here and\nthere'" in written)


def test_only_a_terminal_that_wants_them_gets_colours() -> None:
    streams = (
        logging_to(Terminal()),
        logging_to(Terminal(), {"NO_COLOR": "1"}),
        logging_to(io.StringIO(), {"LOG_FORMAT": "text"}),
    )
    for index, stream in enumerate(streams):
        logging_to(stream, [{}, {"NO_COLOR": "1"}, {"LOG_FORMAT": "text"}][index])
        get_logger("a").warning("it rains")
    assert ["\x1b" in stream.getvalue() for stream in streams] == [True, False, False]


def test_what_is_less_important_than_the_level_is_not_written() -> None:
    stream = logging_to(io.StringIO(), {"LOG_LEVEL": "warning"})
    get_logger("a").info("unimportant")
    logging.getLogger("b").info("unimportant")
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({"DATABASE_URL": "postgresql://fiel:s3cr3t-word@h/db"}, "password s3cr3t-word is wrong"),
        ({"DATABASE_URL": "postgresql://fiel:s3cr3t%2Fword@h/db"}, "s3cr3t/word and s3cr3t%2Fword"),
        ({"DATABASE_URL": "host=h password='s3cr3t word'"}, "s3cr3t word"),
        ({"REDIS_URL": "redis://:s3cr3t-word@h"}, "s3cr3t-word"),
        ({"ADMIN_TOKEN": "s3cr3t-word"}, "Bearer s3cr3t-word"),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "key=s3cr3t-word,other=s3cr3t-other"}, "s3cr3t-word s3cr3t-other"),
        ({}, "postgresql://fiel:s3cr3t@h/db"),
        ({}, "redis://:s3cr3t@h"),
        ({}, "user=fiel password=s3cr3t host=h"),
        ({}, "http://h/?token=s3cr3t&a=b"),
        ({"DATABASE_URL": 'postgresql://fiel:s3c"r3t-word@h/db'}, 's3c"r3t-word'),
    ],
)
def test_no_secret_stands_in_a_line(environment: dict[str, str], line: str) -> None:
    stream = logging_to(io.StringIO(), environment)
    get_logger("a").warning("it failed", reason=line)
    try:
        int(line)
    except ValueError:
        logging.getLogger("b").exception("It failed: %s", line)
    written = stream.getvalue()
    assert HIDDEN in written
    assert "r3t" not in written


def test_a_short_secret_does_not_tear_holes_into_lines() -> None:
    secrets = Secrets.of({"DATABASE_URL": "postgresql://fiel:fiel@h/db"})
    assert secrets.hide("fiel at postgresql://fiel:fiel@h/db") == f"fiel at postgresql://fiel:{HIDDEN}@h/db"


@pytest.mark.parametrize("variable", ["LOG_FORMAT", "LOG_LEVEL", "ACCESS_LOG"])
@pytest.mark.parametrize("value", ["VERBOSE", "10", " 1"])
def test_what_is_malformed_is_refused_by_name(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        LogSettings.from_environment({variable: value})


def test_the_settings_of_the_log_are_read() -> None:
    environment = {"REPLICA": "2", "LOG_FORMAT": "text", "LOG_LEVEL": "debug", "ACCESS_LOG": "1"}
    assert LogSettings.from_environment(environment) == LogSettings("2", LogFormat.TEXT, "DEBUG", access=True)


def test_nothing_that_only_decorates_is_imported(tmp_path: Path) -> None:
    for name in ("rich", "colorama", "better_exceptions", "opentelemetry"):
        (tmp_path / f"{name}.py").write_text("raise AssertionError('it was imported')\n")
    path = [str(tmp_path), str(ROOT), str(ROOT / "http")]
    script = (
        f"import sys\nsys.path[:0] = {path}\nimport actors.log_lines, gateway.main\nassert 'rich' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)  # noqa: S603  # ours
    assert (done.returncode, done.stderr) == (0, "")
