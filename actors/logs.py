"""Loggers, each line of which is an event, a fixed sentence or name, with fields. `actors.log_lines` writes them.

All that is used of structlog is imported from here, so that nobody imports it with what it only decorates with.
"""

import logging
import sys
from types import ModuleType

_DECORATIONS = ("rich", "better_exceptions", "colorama")
"""What structlog imports for colours where it is installed. It takes megabytes, and a replica shows none of it."""


def _import_structlog() -> None:
    """Import structlog, and nothing that it only decorates with."""
    hidden = [name for name in _DECORATIONS if name not in sys.modules]
    modules: dict[str, ModuleType | None] = sys.modules  # type: ignore[assignment]  # None stands for one that is missing
    modules.update(dict.fromkeys(hidden))
    try:
        import structlog  # noqa: F401, PLC0415
    finally:
        for name in hidden:
            del sys.modules[name]


_import_structlog()

import structlog  # noqa: E402  # with its decorations hidden
from structlog.contextvars import bound_contextvars, merge_contextvars  # noqa: E402
from structlog.dev import ConsoleRenderer, plain_traceback  # noqa: E402
from structlog.processors import JSONRenderer, format_exc_info  # noqa: E402
from structlog.stdlib import BoundLogger, ProcessorFormatter, filter_by_level  # noqa: E402
from structlog.typing import EventDict, Processor, WrappedLogger  # noqa: E402

__all__ = [
    "BoundLogger",
    "ConsoleRenderer",
    "EventDict",
    "JSONRenderer",
    "Processor",
    "ProcessorFormatter",
    "WrappedLogger",
    "bound_contextvars",
    "format_exc_info",
    "get_logger",
    "merge_contextvars",
    "plain_traceback",
]

_PROCESSORS = (filter_by_level, merge_contextvars, ProcessorFormatter.wrap_for_formatter)


def get_logger(name: str) -> BoundLogger:
    """Give a structlog logger that hands its lines to the standard library's logger of this name.

    Nothing has to be configured first: where nobody has, lines go where `logging` sends them.
    """
    logger: BoundLogger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=_PROCESSORS,
        wrapper_class=BoundLogger,
        context_class=dict,
        cache_logger_on_first_use=True,
    )
    return logger
