"""Lets schemathesis speak MessagePack; it imports this by itself (`SCHEMATHESIS_HOOKS`)."""

from typing import Any

import msgpack
import schemathesis


@schemathesis.serializer("application/msgpack")
def pack(_context: schemathesis.SerializationContext, value: Any) -> bytes:  # noqa: ANN401  # whatever a schema allows
    return msgpack.packb(_within_64_bits(value))


@schemathesis.deserializer("application/msgpack", "application/problem+msgpack")
def unpack(_context: schemathesis.DeserializationContext, response: schemathesis.Response) -> Any:  # noqa: ANN401
    return msgpack.unpackb(response.content)


def _within_64_bits(value: Any) -> Any:  # noqa: ANN401
    """Make floats of integers that MessagePack does not have."""
    if isinstance(value, dict):
        return {_within_64_bits(key): _within_64_bits(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_within_64_bits(each) for each in value]
    is_long = isinstance(value, int) and not -(2**63) <= value < 2**64
    return float(value) if is_long else value
