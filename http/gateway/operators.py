"""Decides which requests may do what is for operators alone: resolve payments, force breakers, purge.

A request with the token (`Authorization: Bearer`, `ADMIN_TOKEN`) may do all three, from anywhere. The settings
`ALLOW_RESOLVE`, `ALLOW_FORCE` and `ALLOW_PURGE` say what is allowed without it: the first two from this machine alone,
a purge from everywhere. A browser's request is refused if another page than the gateway's own makes it.
"""

import time
from collections.abc import Callable
from enum import Enum
from hmac import compare_digest

import falcon

from actors.logs import get_logger
from actors.outages import OutageReporter
from gateway.foreign_page import is_of_another_page
from gateway.own_machine import is_local
from gateway.problem_types import ProblemType
from gateway.problems import ProblemError

logger = get_logger(__name__)


class OperatorRight(Enum):
    """What is for operators alone. The values are the answers to others."""

    RESOLVE = "payments can be resolved from a replica's own machine if it has ALLOW_RESOLVE=1, or with ADMIN_TOKEN"
    FORCE = "breakers can be forced from a replica's own machine if it has ALLOW_FORCE=1, or with ADMIN_TOKEN"
    PURGE = "payments can be purged with ADMIN_TOKEN, or by everybody if the gateway has ALLOW_PURGE=1"


class Operators:
    """Tells operators from others."""

    def __init__(
        self,
        token: str = "",
        *,
        allow_resolve: bool = True,
        allow_force: bool = False,
        allow_purge: bool = False,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the token, which is empty where there is none, and what is allowed without it."""
        self._token = token.encode()
        self._local_rights = {
            right
            for right, allowed in ((OperatorRight.RESOLVE, allow_resolve), (OperatorRight.FORCE, allow_force))
            if allowed
        }
        self._public_rights = {OperatorRight.PURGE} if allow_purge else set[OperatorRight]()
        self._wrong_tokens = OutageReporter(logger, "a request came with a wrong ADMIN_TOKEN", now_s)

    def check(self, req: falcon.Request, right: OperatorRight) -> None:
        """Check that a request has the right.

        Raises:
            ProblemError: it has not (401 where a token would help, else 403), or another page makes it (403).
        """
        if is_of_another_page(req):
            raise ProblemError(ProblemType.FOREIGN_PAGE, "only the gateway's own pages may send this")
        given = _bearer_token(req) if self._token else None
        if given is not None:
            if compare_digest(given, self._token):
                return
            self._wrong_tokens.occurred(remote=req.remote_addr, right=right.name.lower())
            raise _unauthorized("the token is wrong", 'Bearer realm="fiel", error="invalid_token"')
        if not self.may_without_token(req, right):
            if self._token:
                raise _unauthorized(right.value, 'Bearer realm="fiel"')
            raise ProblemError(ProblemType.NOT_PERMITTED, right.value)

    def may_without_token(self, req: falcon.Request, right: OperatorRight) -> bool:
        """Tell whether a request has the right without a token, because of where it comes from."""
        return right in self._public_rights or (right in self._local_rights and is_local(req))


def note_order(req: falcon.Request, order: OperatorRight, **what: object) -> None:
    """Log an operator's order that is about to be carried out, so that it can be told later who gave it."""
    logger.warning("an operator gave an order", order=order.name.lower(), remote=req.remote_addr, **what)


def _unauthorized(detail: str, challenge: str) -> ProblemError:
    return ProblemError(ProblemType.TOKEN_REQUIRED, detail, {"WWW-Authenticate": challenge})


def _bearer_token(req: falcon.Request) -> bytes | None:
    scheme, _, token = (req.get_header("Authorization") or "").partition(" ")
    # WSGI hands on each byte of a field as one character.
    return token.strip().encode("latin-1") if scheme.lower() == "bearer" else None
