"""Loggers whose lines are events, each a fixed sentence or name with fields. `actors.log_lines` writes them.

All that is used of structlog is imported from here, so that it is never imported with its optional packages.
"""

import logging

from actors.lean_imports import importing_without

with importing_without("rich", "better_exceptions", "colorama"):
    # They are for colours, take megabytes, and a replica shows none of it.
    import structlog
    from structlog.contextvars import bound_contextvars, merge_contextvars
    from structlog.stdlib import BoundLogger, ProcessorFormatter, filter_by_level

__all__ = ["BoundLogger", "bound_contextvars", "get_logger"]

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
