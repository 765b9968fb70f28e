"""What gunicorn's configuration means for the fast path: whether it fits, and the limits of heads."""

import os

from gunicorn.config import Config
from gunicorn.glogging import Logger

from gateway.server.gunicorn_log import GatewayLogger
from gateway.server.request_head import HEAD_BYTES_MAX

_FIELDS_MAX = 32768


def fast_path_fits(cfg: Config, log: Logger) -> bool:
    """Tell whether the configuration asks for plain HTTP/1 and nothing else.

    TLS, HTTP/2, the PROXY and uwsgi protocols, an access log or a logger class, `pre_request` and `post_request` hooks,
    `SCRIPT_NAME`, connections without keep-alive and unix sockets make the worker gunicorn's gevent worker.
    """
    defaults = ("protocol", "proxy_protocol", "http2_cleartext", "pre_request", "post_request")
    return (
        all(cfg.settings[name].get() == cfg.settings[name].default for name in defaults)
        and cfg.http_protocols == ["h1"]
        and not cfg.is_ssl
        and cfg.keepalive > 0
        and type(log) in {Logger, GatewayLogger}
        and not log.access_log_enabled
        and "SCRIPT_NAME" not in os.environ
    )


def head_limits(cfg: Config) -> tuple[int, int]:
    """Give the limits of a plain head: its bytes, and its fields."""
    sizes = (HEAD_BYTES_MAX, cfg.limit_request_line, cfg.limit_request_field_size)
    fields: int = cfg.limit_request_fields
    return min(size for size in sizes if size > 0), fields if fields > 0 else _FIELDS_MAX
