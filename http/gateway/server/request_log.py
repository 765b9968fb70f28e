"""Logs requests: each of them where that is wanted, and those that were refused or have failed."""

import time
from http import HTTPStatus
from typing import Any

from actors.logs import get_logger
from actors.outages import OutageReporter
from gateway.request_ids import request_id_of
from gateway.server.request_head import PlainHead
from gateway.server.response import PlainResponse

logger = get_logger(__name__)
_access = get_logger("gateway.access")


def tell_request(
    method: str, uri: str, status: int, size: int, duration_s: float, remote: str, request_id: str | None = None
) -> None:
    """Log one request that was answered, without what follows its path, which may be secret."""
    ids = {} if request_id is None else {"request_id": request_id}
    _access.info(
        "request",
        method=method,
        path=_path(uri),
        status=status,
        duration_ms=round(duration_s * 1000, 3),
        bytes=size,
        remote=remote,
        **ids,
    )


class RequestLog:
    """Logs the requests of a worker."""

    def __init__(self) -> None:
        self._refused = OutageReporter(logger, "a request is refused that cannot be parsed", time.monotonic)

    tell = staticmethod(tell_request)

    @staticmethod
    def answered(head: PlainHead, response: PlainResponse, began_s: float, environ: dict[str, Any]) -> None:
        """Log a plain request that was answered; `began_s` is when the application got it, by monotonic time."""
        size = 0 if head.method == "HEAD" else response.response_length or response.sent
        duration_s, remote = time.monotonic() - began_s, environ.get("REMOTE_ADDR", "")
        tell_request(head.method, head.uri, response.status_code, size, duration_s, remote, request_id_of(environ))

    @staticmethod
    def failed(method: str, uri: str, error: BaseException) -> None:
        """Log a request at which the application failed."""
        logger.error("a request failed", method=method, path=_path(uri), exc_info=error)

    def refused(self, method: str, uri: str, remote: str, error: BaseException, status: HTTPStatus) -> bool:
        """Log a request that cannot be answered; return whether that is the application's fault, not the client's."""
        is_own = status is HTTPStatus.INTERNAL_SERVER_ERROR
        if is_own:
            self.failed(method, uri, error)
        else:
            self._refused.occurred(remote=remote, reason=str(error))
        return is_own

    def check(self) -> None:
        """Log what is due by now."""
        self._refused.check()


def _path(uri: str) -> str:
    return uri.partition("?")[0]
