"""Takes over the ids that clients give their requests: `X-Request-ID`, and `traceparent` (W3C Trace Context)."""

import re
import secrets
from typing import Any

_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
_TRACEPARENT = re.compile(
    r"(?!ff|00.{54})[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?"
)
"""Versions after 00, which has 55 characters, may have more."""
_OWN_ID = "fiel.request_id"


def request_id_of(environ: dict[str, Any]) -> str | None:
    """Give the id of a request; None where its client gave none, or one that is not 1 to 128 visible characters."""
    given = environ.get("HTTP_X_REQUEST_ID") or environ.get(_OWN_ID)
    return given if given is not None and _REQUEST_ID.fullmatch(given) else None


def trace_id_of(environ: dict[str, Any]) -> str | None:
    """Give the id of the trace that a request belongs to; None where its client named none, or none that is valid."""
    found = _TRACEPARENT.fullmatch(environ.get("HTTP_TRACEPARENT", ""))
    return found[1] if found else None


def some_request_id(environ: dict[str, Any]) -> str:
    """Give the id of a request, and make one where its client gave none."""
    request_id = request_id_of(environ)
    if request_id is None:
        environ.pop("HTTP_X_REQUEST_ID", None)
        request_id = environ[_OWN_ID] = secrets.token_hex(16)
    return request_id
