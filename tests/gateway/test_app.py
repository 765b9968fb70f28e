import json
import struct
from urllib.parse import quote_from_bytes

import falcon.testing
import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.app import create_app
from tests.gateway.fake_gateway import FakeGateway, client_of

ID = "c56a4180-65aa-42ec-a945-5fd21dec0538"
IDS = st.sampled_from([ID, ID.upper(), ID.replace("-", ""), bytes.fromhex(ID.replace("-", "")), ID[1:], b"", ""])
AMOUNTS = st.one_of(
    st.integers(-(2**63), 2**64 - 1), st.floats(), st.booleans(), st.none(), st.text(max_size=5), st.binary(max_size=5)
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
EXTENSIONS = st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=20))
SCALARS = st.one_of(AMOUNTS, EXTENSIONS, st.builds(msgpack.Timestamp, st.integers(-(2**40), 2**62), st.just(0)))
MSGPACK_VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=3) | st.integers(-5, 5) | st.binary(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)
NUMBERS = st.from_regex(r"-?[0-9]{1,30}(\.[0-9]{0,40})?([eE][+-]?[0-9]{1,25})?", fullmatch=True)
FIELD_VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=30)
MEDIA_TYPES = st.sampled_from(
    [
        "application/json",
        "application/msgpack",
        "application/json; charset=x",
        "*/*",
        "a/b;q=9",
        "application/x-msgpack",
    ]
)
PATHS = st.sampled_from(
    [
        *("/", "/payments", f"/payments/{ID}", "/payments/x", "/payments-summary", "/purge-payments", "/livez"),
        *("/readyz", "/processors", "/processors/default/breaker"),
    ]
)
METHODS = st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "CONNECT", "BREW"])
ORDERS = st.fixed_dictionaries({"state": st.sampled_from(["forced-open", "forced-closed", "automatic", "open"])})
INSTANTS = st.datetimes().map(lambda instant: instant.isoformat() + "Z")


def almost(json_value: object) -> bytes:
    return json.dumps({"correlationId": ID, "amount": json_value}).encode()


BODIES = st.one_of(
    st.binary(max_size=200),
    JSON_VALUES.map(lambda value: json.dumps(value).encode()),
    JSON_VALUES.map(almost),
    NUMBERS.map(lambda number: f'{{"correlationId":"{ID}","amount":{number}}}'.encode()),
    MSGPACK_VALUES.map(msgpack.packb),
    st.builds(lambda *values: msgpack.packb(values), IDS, MSGPACK_VALUES),
    st.builds(lambda *values: msgpack.packb(dict(zip(("correlationId", "amount"), values, strict=True))), IDS, SCALARS),
    st.floats(width=32).map(lambda value: b"\x92\xc4\x100123456789abcdef\xca" + struct.pack(">f", value)),
)


@pytest.fixture(scope="module")
def fuzzed() -> falcon.testing.TestClient:
    gateway = FakeGateway()
    return client_of(create_app(gateway, gateway, gateway, gateway, allow_purge=True, allow_force=True))


def no_fault(answer: falcon.testing.Result) -> None:
    assert answer.status_code < 500
    if answer.status_code >= 400:
        kind = answer.headers["content-type"].removeprefix("application/problem+")
        problem = json.loads(answer.content) if kind == "json" else msgpack.unpackb(answer.content)
        assert problem["status"] == answer.status_code


@settings(max_examples=400, deadline=None)
@given(body=BODIES, media_type=MEDIA_TYPES, accept=MEDIA_TYPES)
def test_no_posted_body_is_a_fault_of_the_gateway(
    fuzzed: falcon.testing.TestClient, body: bytes, media_type: str, accept: str
) -> None:
    headers = {"Content-Type": media_type, "Accept": accept}
    answer = fuzzed.simulate_post("/payments", body=body, headers=headers)
    assert answer.status_code in {202, 400, 409, 413, 415}
    no_fault(answer)


@settings(max_examples=200, deadline=None)
@given(
    body=BODIES | ORDERS.map(lambda order: json.dumps(order).encode()) | ORDERS.map(msgpack.packb),
    media_type=MEDIA_TYPES,
    accept=MEDIA_TYPES,
)
def test_no_order_is_a_fault_of_the_gateway(
    fuzzed: falcon.testing.TestClient, body: bytes, media_type: str, accept: str
) -> None:
    headers = {"Content-Type": media_type, "Accept": accept}
    answer = fuzzed.simulate_put("/processors/default/breaker", body=body, headers=headers)
    assert answer.status_code in {200, 400, 413, 415}
    no_fault(answer)


@settings(max_examples=300, deadline=None)
@given(
    query=st.one_of(
        st.binary(max_size=60).map(quote_from_bytes),
        st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=60).map(lambda text: text.lstrip("?")),
        st.builds("from={}&to={}".format, INSTANTS, INSTANTS),
        st.builds("{}={}".format, st.sampled_from(["from", "to"]), st.binary(max_size=30).map(quote_from_bytes)),
    )
)
def test_no_query_is_a_fault_of_the_gateway(fuzzed: falcon.testing.TestClient, query: str) -> None:
    answer = fuzzed.simulate_get("/payments-summary", query_string=query)
    assert answer.status_code in {200, 400}
    no_fault(answer)


@pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD")  # from wsgiref's validator, which falcon's tools use
@settings(max_examples=300, deadline=None)
@given(
    method=METHODS,
    path=PATHS | st.binary(max_size=40).map(lambda path: "/" + quote_from_bytes(path)),
    accept=FIELD_VALUES | MEDIA_TYPES,
    content_type=FIELD_VALUES | MEDIA_TYPES,
)
def test_no_method_path_or_header_is_a_fault_of_the_gateway(
    fuzzed: falcon.testing.TestClient, method: str, path: str, accept: str, content_type: str
) -> None:
    # Within extras, where falcon's tools take headers that HTTP would not carry.
    headers = {"HTTP_ACCEPT": accept, "CONTENT_TYPE": content_type}
    answer = fuzzed.simulate_request(method, path, extras=headers)
    if method == "HEAD":
        assert answer.status_code < 500
    else:
        no_fault(answer)
