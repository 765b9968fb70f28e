"""Throws structured garbage at `POST /payments`."""

import json
import struct
from typing import Any

import falcon.testing
import msgpack
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.gateway.fake_gateway import FakeGateway

ID = "c56a4180-65aa-42ec-a945-5fd21dec0538"
# A fixture's client has no state beside the payments that it was given.
hostile = settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])

texts = st.one_of(
    st.just(ID),
    st.sampled_from(["BRL", "jpy", "\ud800", "\udc00\ud800", "\0", '"', "\\", "", "1e400", "NaN"]),
    st.text(st.characters(codec=None), max_size=8),
)
numbers = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([2**64, -(2**63), 10**400, 0.01, 1e12, 1e300, -0.0, 19.9]),
)
leaves = st.one_of(st.none(), st.booleans(), numbers, texts)
keys = st.one_of(st.sampled_from(["correlationId", "amount", "currency"]), texts)


class Members:
    """A map that may hold a key twice."""

    def __init__(self, pairs: list[tuple[Any, Any]]) -> None:
        self.pairs = pairs

    def __repr__(self) -> str:
        return f"Members({self.pairs!r})"


usual = st.tuples(
    st.tuples(st.just("correlationId"), st.one_of(st.just(ID), leaves)), st.tuples(st.just("amount"), leaves)
).map(list)


def members(values: st.SearchStrategy[Any], names: st.SearchStrategy[Any]) -> st.SearchStrategy[Members]:
    return st.tuples(st.one_of(st.just([]), usual), st.lists(st.tuples(names, values), max_size=4)).map(
        lambda parts: Members([*parts[0], *parts[1]])
    )


def documents(leaf: st.SearchStrategy[Any], names: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    nested = st.recursive(leaf, lambda inner: st.one_of(st.lists(inner, max_size=3), members(inner, names)))
    return st.one_of(members(nested, names), nested)


def as_json(value: Any) -> str:  # noqa: ANN401  # any document
    if isinstance(value, Members):
        return "{" + ", ".join(f"{json.dumps(key)}: {as_json(inner)}" for key, inner in value.pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_json, value)) + "]"
    return json.dumps(value)


def as_msgpack(value: Any) -> bytes:  # noqa: ANN401  # any document
    if isinstance(value, Members):
        inner = b"".join(as_msgpack(part) for pair in value.pairs for part in pair)
        return b"\xdf" + struct.pack(">I", len(value.pairs)) + inner
    if isinstance(value, list):
        return b"\xdd" + struct.pack(">I", len(value)) + b"".join(map(as_msgpack, value))
    if isinstance(value, str):
        return bytes(msgpack.packb(value, unicode_errors="surrogatepass"))
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return b"\xcf" + b"\xff" * 8
    return bytes(msgpack.packb(value))


binary_leaves = st.one_of(
    leaves,
    st.binary(max_size=17),
    st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=17)),
    st.builds(msgpack.Timestamp, st.integers(-(2**62), 2**62), st.integers(0, 999_999_999)),
)
json_bodies = documents(leaves, keys).map(lambda value: as_json(value).encode())
msgpack_bodies = documents(binary_leaves, st.one_of(keys, binary_leaves)).map(as_msgpack)


def damaged(bodies: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Put some bytes in the place of others, so that nearly right bodies come, too."""
    return st.builds(
        lambda body, place, width, other: (
            body[: place % (len(body) + 1)] + other + body[place % (len(body) + 1) + width :]
        ),
        bodies,
        st.integers(0, 2**16),
        st.integers(0, 4),
        st.binary(max_size=4),
    )


def answer_to(client: falcon.testing.TestClient, body: bytes, content_type: str, accept: str) -> None:
    answer = client.simulate_post("/payments", body=body, headers={"Content-Type": content_type, "Accept": accept})
    if answer.status_code in {202, 409}:
        return
    assert (400, f"application/problem+{accept.partition('/')[2]}") == (
        answer.status_code,
        answer.headers["content-type"],
    )
    problem = json.loads(answer.content) if accept.endswith("json") else msgpack.unpackb(answer.content)
    assert problem["status"] == 400
    assert problem["detail"].startswith(f"{problem['field']}: ")
    assert not any(foreign in problem["detail"] for foreign in ("codec", "Exception", "surrogates not allowed"))


TYPES = ["application/json", "application/msgpack"]
fuzzed_types = pytest.mark.parametrize("accept", TYPES)


@fuzzed_types
@hostile
@given(body=st.one_of(json_bodies, damaged(json_bodies)))
@example(b'{"correlationId": "\\ud800", "amount": 1}')
@example(b'{"correlationId": "%s", "amount": 1, "\\udc00": 1}' % ID.encode())
@example(b'{"correlationId": "%s", "amount": 1, "currency": "\\ud83d"}' % ID.encode())
def test_any_json_is_kept_or_refused_with_a_problem(
    client: falcon.testing.TestClient, accept: str, body: bytes
) -> None:
    answer_to(client, body, "application/json", accept)


@fuzzed_types
@hostile
@given(body=st.one_of(msgpack_bodies, damaged(msgpack_bodies), st.binary(max_size=60)))
def test_any_messagepack_is_kept_or_refused_with_a_problem(
    client: falcon.testing.TestClient, accept: str, body: bytes
) -> None:
    answer_to(client, body, "application/msgpack", accept)


HALF = "has one half of a surrogate pair without the other"
UTF8 = "must hold no text but UTF-8"
DEEP = "is nested too deeply"


@pytest.mark.parametrize(
    ("body", "content_type", "reason"),
    [
        (b'{"correlationId": "\\ud800", "amount": 1}', TYPES[0], HALF),
        (b'{"correlationId": "%s", "amount": 1, "currency": "\\ud800"}', TYPES[0], HALF),
        (b'{"correlationId": "%s", "amount": 1, "note": "\\udc00"}', TYPES[0], HALF),
        (b'{"correlationId": "%s", "amount": 1, "\\uD83D": 1}', TYPES[0], HALF),
        (b'{"correlationId": "%s", "amount": 1, "note": "\xff"}', TYPES[0], UTF8),
        (b"\x83\xadcorrelationId\xd9\x24%s\xa6amount\x01\xa8currency\xa3\xff\xfe\xfd", TYPES[1], UTF8),
        (b"\x83\xadcorrelationId\xd9\x24%s\xa6amount\x01\xa4note\xa1\xff", TYPES[1], UTF8),
        (b"\x83\xadcorrelationId\xd9\x24%s\xa6amount\x01\xa1\xff\x01", TYPES[1], UTF8),
        (b'{"correlationId": "%s", "amount": 1, "note": ' + b"[" * 8_000, TYPES[0], DEEP),
        (b'{"correlationId": "%s", "amount": 1, "note": ' + b"[" * 8_000 + b"]" * 8_000 + b"}", TYPES[0], DEEP),
        (b'{"correlationId": "%s", "amount": 1, "note": ' + b"[" * 500 + b"]" * 500 + b"}", TYPES[0], DEEP),
        (b"\x83\xadcorrelationId\xd9\x24%s\xa6amount\x01\xa4note" + b"\x91" * 15_900 + b"\x01", TYPES[1], DEEP),
    ],
)
def test_what_is_no_text_or_has_no_end_is_refused_in_plain_words(
    client: falcon.testing.TestClient, gateway: FakeGateway, body: bytes, content_type: str, reason: str
) -> None:
    answer = client.simulate_post(
        "/payments", body=body.replace(b"%s", ID.encode()), headers={"Content-Type": content_type}
    )
    assert (400, f"body: {reason}") == (answer.status_code, answer.json["detail"])
    assert gateway.kept == {}


@pytest.mark.parametrize(
    "note", [b"[" * 499 + b"]" * 499, b"[[]," * 498 + b"0" + b"]" * 498, b'"\\"%s"' % (b"[" * 600)]
)
def test_what_is_nested_as_deeply_as_may_be_is_kept(client: falcon.testing.TestClient, note: bytes) -> None:
    body = b'{"correlationId": "%s", "amount": 1, "note": %s}' % (ID.encode(), note)
    assert client.simulate_post("/payments", body=body).status_code == 202


def test_an_escaped_emoji_is_text(client: falcon.testing.TestClient) -> None:
    body = b'{"correlationId": "%s", "amount": 1, "note": "\\ud83d\\ude00"}' % ID.encode()
    assert client.simulate_post("/payments", body=body).status_code == 202
