"""JSON and MessagePack: which one a client sends and wants, and how answers are written."""

from typing import Any

import falcon
import msgspec

JSON = "application/json"
MSGPACK = "application/msgpack"
MSGPACK_ALIASES = frozenset({MSGPACK, "application/x-msgpack", "application/vnd.msgpack"})
BODY_BYTES_MAX = 16 * 1024

_json = msgspec.json.Encoder(decimal_format="number", uuid_format="canonical")
_msgpack = msgspec.msgpack.Encoder(decimal_format="number", uuid_format="canonical")


def sent_msgpack(req: falcon.Request) -> bool:
    """Tell whether the body is MessagePack rather than JSON; a body without a type is JSON.

    Raises:
        falcon.HTTPUnsupportedMediaType: it says that it is neither.
    """
    content_type = req.content_type
    if content_type is None or content_type == JSON:
        return False
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type in MSGPACK_ALIASES:
        return True
    if media_type == JSON:
        return False
    raise falcon.HTTPUnsupportedMediaType(description=f"{media_type!r} is neither {JSON} nor {MSGPACK}")


def wants_msgpack(req: falcon.Request) -> bool:
    """Tell whether the client prefers MessagePack to JSON."""
    accept = req.accept
    if accept in {"*/*", JSON}:
        return False
    return req.client_prefers([JSON, *sorted(MSGPACK_ALIASES)]) in MSGPACK_ALIASES


def read_body(req: falcon.Request) -> bytes:
    """Read the whole body.

    Raises:
        falcon.HTTPContentTooLarge: over 16 KiB; the rest is not read.
    """
    if (req.content_length or 0) <= BODY_BYTES_MAX:
        body: bytes = req.stream.read(BODY_BYTES_MAX + 1)
        if len(body) <= BODY_BYTES_MAX:
            return body
    raise falcon.HTTPContentTooLarge(description=f"a body holds at most {BODY_BYTES_MAX} bytes")


def write_body(req: falcon.Request, resp: falcon.Response, body: Any, kind: str = "") -> None:  # noqa: ANN401  # any map
    """Answer with a map, in the form that the client prefers; `kind` is what stands before a `+` in the type."""
    prefix = f"application/{kind}+" if kind else "application/"
    if wants_msgpack(req):
        resp.content_type = f"{prefix}msgpack"
        resp.data = _msgpack.encode(body)
    else:
        resp.content_type = f"{prefix}json"
        resp.data = _json.encode(body)
