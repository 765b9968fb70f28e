"""JSON and MessagePack: which one a client wants, and how answers are written."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import falcon
import msgpack
import msgspec

JSON = "application/json"
MSGPACK = "application/msgpack"
MSGPACK_ALIASES = frozenset({MSGPACK, "application/x-msgpack", "application/vnd.msgpack"})
ACCEPT_LENGTH_MAX = 256
"""Browsers send some 140 characters."""

_json = msgspec.json.Encoder(decimal_format="number", uuid_format="canonical")


def to_json(body: Any) -> bytes:  # noqa: ANN401  # any map
    """Write a map as JSON, amounts with all their digits."""
    return _json.encode(body)


def write_body(req: falcon.Request, resp: falcon.Response, body: Any, kind: str = "") -> None:  # noqa: ANN401  # any map
    """Answer with a map, in the form that the client prefers; `kind` is what stands before a `+` in the type."""
    prefix = f"application/{kind}+" if kind else "application/"
    resp.set_header("Vary", "Accept")
    if _wants_msgpack(req, f"{prefix}json", f"{prefix}msgpack"):
        resp.content_type = f"{prefix}msgpack"
        resp.data = msgpack.packb(body, default=_packable)
    else:
        resp.content_type = f"{prefix}json"
        resp.data = to_json(body)


def preferred(req: falcon.Request, kinds: Sequence[str]) -> str | None:
    """Choose what the client wants most of these media types; None where it wants none of them.

    An `Accept` field that is longer than any sensible one counts as if it were not there: falcon would take it apart,
    and remember the many parts of each.
    """
    return req.client_prefers(kinds) if len(req.accept) <= ACCEPT_LENGTH_MAX else kinds[0]


def _packable(value: object) -> float | str:
    """Give a decimal as the double whose shortest form it is; as text if there is none, as a double would change it."""
    if isinstance(value, Decimal) and Decimal(repr(number := float(value))) == value:
        return number
    return str(value)


def _wants_msgpack(req: falcon.Request, json: str, msgpack: str) -> bool:
    if req.accept in {"*/*", JSON}:
        return False
    return preferred(req, (JSON, json, *sorted(MSGPACK_ALIASES), msgpack)) in {*MSGPACK_ALIASES, msgpack}
