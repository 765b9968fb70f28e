"""How lines of the log are written: as JSON or readable, with the same fields for ours, gunicorn's and libraries'."""

import json
import logging
import re
import sys
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, TextIO
from urllib.parse import unquote
from uuid import UUID

from actors.domain.instant import iso_from_ms
from actors.log_settings import LogFormat, LogSettings
from actors.logs import (
    ConsoleRenderer,
    EventDict,
    JSONRenderer,
    Processor,
    ProcessorFormatter,
    WrappedLogger,
    format_exc_info,
    merge_contextvars,
    plain_traceback,
)

SECRET_CHARACTERS_MIN = 8
"""A shorter secret is hidden in addresses and assignments alone: it might be a part of any word."""
HIDDEN = "***"
_IN_ADDRESS = re.compile(r"(://[^\s/?#@\"':]*:)[^\s/?#\"']*(?=@)")
_ASSIGNED = re.compile(r"((?:password|passwd|token|secret)\s*=\s*)('[^']*'|[^\s'\"&,;)]+)", re.IGNORECASE)
_QUIET = {"pykka": logging.WARNING, "opentelemetry.exporter": logging.CRITICAL}
"""Libraries that tell more than anybody wants to know; what cannot be exported is told by `actors.adapters.tracing`."""


class Secrets:
    """Hides what nobody may read in a log, wherever it stands in a line: a traceback may hold an address, too."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        forms = {form for value in values for form in (value, unquote(value), json.dumps(value)[1:-1])}
        # The longest first, as one may hold another.
        self._forms = sorted((each for each in forms if len(each) >= SECRET_CHARACTERS_MIN), key=len, reverse=True)

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Secrets":
        """Know those that the settings hold."""
        addresses = (environment.get("DATABASE_URL", ""), environment.get("REDIS_URL", ""))
        found = [each.partition("://")[2].rpartition("@")[0].partition(":")[2] for each in addresses]
        found += [match[2].strip("'") for each in addresses for match in _ASSIGNED.finditer(each)]
        headers = environment.get("OTEL_EXPORTER_OTLP_HEADERS", "").split(",")
        found += [each.partition("=")[2] for each in headers]
        return cls([*found, environment.get("ADMIN_TOKEN", "")])

    def hide(self, line: str) -> str:
        """Write a line without them."""
        for form in self._forms:
            if form in line:
                line = line.replace(form, HIDDEN)
        if "://" in line:
            line = _IN_ADDRESS.sub(rf"\1{HIDDEN}", line)
        return _ASSIGNED.sub(rf"\1{HIDDEN}", line) if "=" in line else line


class LineFormatter(ProcessorFormatter):
    """Writes records of `logging` as lines, whoever has logged them."""

    def __init__(self, replica: str, secrets: Secrets, *, as_json: bool, in_colours: bool = False) -> None:
        """`replica` is a field of all lines; empty where there is none."""

        def add_common(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
            record: logging.LogRecord = event["_record"]
            common: dict[str, Any] = {
                "timestamp": iso_from_ms(int(record.created * 1000)),
                "level": record.levelname.lower(),
                # Some libraries' have several lines.
                "event": " ".join(str(event.pop("event")).split("\n")).strip(),
                "logger": record.name,
            }
            if replica:
                common["replica"] = replica
            return {**common, **{name: _plain(value) for name, value in event.items()}}

        rendering: list[Processor] = [format_exc_info, JSONRenderer(separators=(",", ":"), default=str)]
        if not as_json:
            rendering = [ConsoleRenderer(colors=in_colours, exception_formatter=plain_traceback, sort_keys=False)]
        super().__init__(
            foreign_pre_chain=[merge_contextvars],
            processors=[add_common, ProcessorFormatter.remove_processors_meta, *rendering],
        )
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """Write a record as one line; only for a terminal an error in the code takes several."""
        return self._secrets.hide(super().format(record))


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


def _plain(value: object) -> object:
    return str(value) if isinstance(value, UUID | Decimal) else value
