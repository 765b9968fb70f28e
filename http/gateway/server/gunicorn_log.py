"""Lets gunicorn write its lines like all others; `logger_class = "gateway.server.gunicorn_log.GatewayLogger"`.

It is imported in gunicorn's master, too, which stays small: each megabyte there is one more for a replica.
"""

import os
from datetime import timedelta
from typing import Any

from gunicorn.config import Config
from gunicorn.glogging import Logger

from actors.log_lines import configure
from actors.log_settings import LogSettings
from gateway.request_ids import request_id_of


class GatewayLogger(Logger):  # type: ignore[misc]  # gunicorn ships no types
    """gunicorn's log, as lines of the gateway's own."""

    has_access_lines: bool
    """Whether each request is a line."""

    def setup(self, cfg: Config) -> None:
        """Configure the log of this process; gunicorn calls this in its master, and when it is reloaded.

        Raises:
            SettingsError: a setting of the log is malformed.
        """
        super().setup(cfg)
        settings = LogSettings.from_environment(os.environ)
        configure(settings, os.environ)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
        self.has_access_lines = settings.access

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta) -> None:  # noqa: ANN401  # gunicorn ships no types
        """Tell of a request that took the gunicorn path."""
        if self.has_access_lines:
            from gateway.server.request_log import tell_request  # noqa: PLC0415  # not in the master

            duration_s, remote = request_time.total_seconds(), environ.get("REMOTE_ADDR", "")
            tell_request(req.method, req.uri, resp.status_code, resp.sent, duration_s, remote, request_id_of(environ))


def log_errors_of_greenlets() -> None:
    """Let errors that end a greenlet be lines of the log, which gevent would print to stderr."""
    import gevent  # noqa: PLC0415  # not in the master

    from actors.logs import get_logger  # noqa: PLC0415  # the same

    logger = get_logger(__name__)

    def tell(context: object, *error: object) -> None:
        # The event loop itself must not wait for a lock of `logging`.
        gevent.spawn(logger.error, "a greenlet failed", greenlet=repr(context), exc_info=error)

    gevent.get_hub().print_exception = tell  # type: ignore[assignment, method-assign]  # as gevent describes it
