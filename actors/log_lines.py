"""How lines of the log are written: as JSON or readable, with the same fields for ours, gunicorn's and libraries'."""

import json
import logging
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any, TextIO, cast
from urllib.parse import unquote

from actors.domain.instant import iso_from_ms
from actors.log_settings import LogFormat, LogSettings

SECRET_CHARACTERS_MIN = 8
"""A shorter secret is hidden in addresses and assignments alone: it might be a part of any word."""
HIDDEN = "***"
_COLOURS = {"debug": 2, "info": 32, "warning": 33, "error": 31, "critical": 31}
"""The colours of the levels, as terminals number them."""
_IN_ADDRESS = re.compile(r"(://[^\s/?#@\"':]*:)[^\s/?#\"']*(?=@)")
_ASSIGNED = re.compile(r"((?:password|passwd|token|secret)\s*=\s*)('[^']*'|[^\s'\"&,;)]+)", re.IGNORECASE)
_QUIET = {"pykka": logging.WARNING, "opentelemetry.exporter": logging.CRITICAL}
"""The least levels of libraries that log too much, such as each export that failed, of which
`actors.adapters.tracing` tells once."""


class Secrets:
    """Hides what nobody may read in a log, wherever it stands in a line: a traceback may hold an address, too."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        forms = {form for value in values for form in (value, unquote(value), json.dumps(value)[1:-1])}
        # The longest first, as one may hold another.
        self._forms = sorted((each for each in forms if len(each) >= SECRET_CHARACTERS_MIN), key=len, reverse=True)

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Secrets":
        """Gather the secrets that the settings hold."""
        addresses = (environment.get("DATABASE_URL", ""), environment.get("REDIS_URL", ""))
        found = [each.partition("://")[2].rpartition("@")[0].partition(":")[2] for each in addresses]
        found += [match[2].strip("'") for each in addresses for match in _ASSIGNED.finditer(each)]
        headers = environment.get("OTEL_EXPORTER_OTLP_HEADERS", "").split(",")
        found += [each.partition("=")[2] for each in headers]
        return cls([*found, environment.get("ADMIN_TOKEN", "")])

    def hide(self, line: str) -> str:
        """Give a line without secrets."""
        for form in self._forms:
            if form in line:
                line = line.replace(form, HIDDEN)
        if "://" in line:
            line = _IN_ADDRESS.sub(rf"\1{HIDDEN}", line)
        return _ASSIGNED.sub(rf"\1{HIDDEN}", line) if "=" in line else line


class LineFormatter(logging.Formatter):
    """Writes records of `logging` as lines, whoever has logged them; ours have a dict in the place of the message."""

    def __init__(self, replica: str, secrets: Secrets, *, as_json: bool, in_colours: bool = False) -> None:
        """`replica` is a field of all lines; empty where there is none."""
        super().__init__()
        self._replica = {"replica": replica} if replica else {}
        self._secrets = secrets
        self._as_json = as_json
        self._in_colours = in_colours

    def format(self, record: logging.LogRecord) -> str:
        """Write a record as one line; in the readable form a traceback takes several more."""
        own = isinstance(record.msg, dict)
        fields: dict[str, Any] = dict(cast("dict[str, Any]", record.msg)) if own else _bound_fields()
        # Some libraries' messages have several lines.
        event = fields.pop("event") if own else " ".join(record.getMessage().split("\n")).strip()
        exception = self._exception(fields.pop("exc_info", None) or record.exc_info)
        line = {
            "timestamp": iso_from_ms(int(record.created * 1000)),
            "level": record.levelname.lower(),
            "event": event,
            "logger": record.name,
            **self._replica,
            **fields,
        }
        if self._as_json:
            shown = line | ({"exception": exception} if exception else {})
            written = json.dumps(shown, separators=(",", ":"), default=str)
        else:
            written = self._readable(line, exception)
        return self._secrets.hide(written)

    def _exception(self, error: Any) -> str | None:  # noqa: ANN401  # whatever `logging` and structlog take
        if not error:
            return None
        if isinstance(error, BaseException):
            error = (type(error), error, error.__traceback__)
        elif not isinstance(error, tuple):
            error = sys.exc_info()
        return self.formatException(error) if error[0] is not None else None

    def _readable(self, line: dict[str, Any], exception: str | None) -> str:
        timestamp, level, event, logger = (line.pop(name) for name in ("timestamp", "level", "event", "logger"))
        fields = " ".join(f"{name}={_shown(value)}" for name, value in line.items())
        colour = _COLOURS.get(level) if self._in_colours else None
        told = f"\x1b[{colour}m{level:<8}\x1b[0m" if colour else f"{level:<8}"
        return f"{timestamp} [{told}] {event:<40} [{logger}] {fields}".rstrip() + (
            f"\n{exception}" if exception else ""
        )


def configure(settings: LogSettings, environment: Mapping[str, str], stream: TextIO | None = None) -> None:
    """Let all loggers of this process write their lines to `stream`, by default stderr. May be called again."""
    stream = stream or sys.stderr
    is_terminal = stream.isatty()
    as_json = settings.format is LogFormat.JSON or (settings.format is LogFormat.AUTO and not is_terminal)
    in_colours = is_terminal and not environment.get("NO_COLOR")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        LineFormatter(settings.replica, Secrets.of(environment), as_json=as_json, in_colours=in_colours)
    )
    logging.basicConfig(level=settings.level, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    for name, level in _QUIET.items():
        logging.getLogger(name).setLevel(level)


def tell(logger: str, level: int, event: str, **fields: object) -> None:
    """Log a line as our loggers do, in a process that should do without structlog, such as gunicorn's master."""
    logging.getLogger(logger).log(level, {"event": event, **fields})


def _bound_fields() -> dict[str, Any]:
    """Give what is bound to the request in which something is logged, if anything was ever bound in this process."""
    bound = sys.modules.get("structlog.contextvars")
    return dict(bound.get_contextvars()) if bound else {}


def _shown(value: object) -> str:
    text = str(value)
    return text if text and text.isprintable() and not any(each in text for each in " =\"'") else repr(text)
