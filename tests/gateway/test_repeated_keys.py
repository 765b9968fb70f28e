import json

import falcon.testing
import msgpack
import pytest

from gateway.problems import InvalidFieldError
from gateway.repeated_keys import refuse_repeated_keys
from tests.gateway.fake_gateway import FakeGateway

ID = "c56a4180-65aa-42ec-a945-5fd21dec0538"
JSON = "application/json"
MSGPACK = "application/msgpack"


def json_map(*pairs: tuple[str, object]) -> bytes:
    return f"{{{', '.join(f'{json.dumps(key)}: {json.dumps(value)}' for key, value in pairs)}}}".encode()


def packed_map(*pairs: tuple[object, object], head: bytes = b"") -> bytes:
    return (head or bytes([0x80 + len(pairs)])) + b"".join(map(msgpack.packb, sum(pairs, ())))


PAIRS = (("correlationId", ID), ("amount", 1), ("currency", "BRL"), ("note", "x"))
REPEATED = [
    *(
        pytest.param(
            form(*PAIRS[:count], repeated), content_type, repeated[0], id=f"{content_type} {count} {repeated[0]}"
        )
        for form, content_type in ((json_map, JSON), (packed_map, MSGPACK))
        for count in range(2, 5)
        for repeated in PAIRS[:count]
    ),
    pytest.param(
        json_map(*PAIRS[:2])[:-1] + b', "amou\\u006et": 1}',
        JSON,
        "amount",
        id="JSON: a key that is spelt with an escape",
    ),
    pytest.param(
        json_map(*PAIRS[:2])[:-1] + b', "note": [{"a": 1, "a": 2}]}', JSON, "a", id="JSON: within what nobody reads"
    ),
    pytest.param(
        packed_map(*PAIRS[:2], head=b"\x83") + b"\xa4note\x91" + packed_map(("a", 1), ("a", 2)),
        MSGPACK,
        "a",
        id="MessagePack: within what nobody reads",
    ),
    pytest.param(
        packed_map(*PAIRS[:2], PAIRS[0], head=b"\xde\0\3"), MSGPACK, "correlationId", id="MessagePack: a longer head"
    ),
    pytest.param(json_map(*PAIRS[:2], *[("é" * 50, 1)] * 2), JSON, r"\xe9" * 10, id="JSON: a key that is long"),
]


@pytest.mark.parametrize(("body", "content_type", "key"), REPEATED)
def test_a_payment_that_names_a_key_twice_is_refused(
    client: falcon.testing.TestClient, gateway: FakeGateway, body: bytes, content_type: str, key: str
) -> None:
    answer = client.simulate_post("/payments", body=body, headers={"Content-Type": content_type})
    assert (400, key) == (answer.status_code, answer.json["field"])
    assert answer.json["detail"] == f"{key}: must be given once"
    assert gateway.kept == {}


@pytest.mark.parametrize(
    ("body", "is_msgpack"),
    [
        (b'{"a": {"b": 1}, "b": [{"a": 1}, {"a": 2}]}', False),
        (b'{"a": %s, "b": 1.5e999999999999999999999}' % (b"9" * 10_000), False),
        (b'{"a": "\\ud83d\\ude00"}', False),
        (packed_map((1, 2), (b"a", 2), ("a", 3), ((1, 2), 3), (None, msgpack.ExtType(5, b""))), True),
        (packed_map(("a", packed_map(("b", 1))), ("b", [{"a": 1}, {"a": 2}])), True),
    ],
)
def test_keys_may_stand_again_in_other_maps(body: bytes, *, is_msgpack: bool) -> None:
    refuse_repeated_keys(body, is_msgpack=is_msgpack)


@pytest.mark.parametrize(
    ("body", "is_msgpack", "detail"),
    [
        (b'{"a": "\xff"}', False, "UTF-8"),
        (b"\x81\xa1\xff\x01", True, "UTF-8"),
        (b"\x81\xa1a\xa1\xff", True, "UTF-8"),
        (b"\x81\xa1a\xa3\xed\xa0\x80", True, "UTF-8"),
        (b'{"a":' + b"[" * 16_000, False, "nested too deeply"),
        (b"\x81\xa1a" + b"\x91" * 16_000, True, "nested too deeply"),
        (b"\x81\xa1a\xd4\xff\0", True, "malformed"),
        (b"\x81\xa1a", True, "malformed"),
        (b'{"a"}', False, "malformed"),
    ],
)
def test_what_cannot_be_read_to_its_end_is_refused(body: bytes, detail: str, *, is_msgpack: bool) -> None:
    with pytest.raises(InvalidFieldError) as refusal:
        refuse_repeated_keys(body, is_msgpack=is_msgpack)
    assert refusal.value.field == "body"
    assert detail in (refusal.value.description or "")
