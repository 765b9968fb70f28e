import io
import json
import struct
from typing import Any
from uuid import UUID

import falcon.testing
import msgpack
import pytest
from gunicorn.http.errors import InvalidChunkSize
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.domain.money import DECIMALS, Money
from actors.domain.payment import Payment
from actors.domain.processors import ALL_CURRENCIES, PostedCurrencies
from gateway.app import create_app
from gateway.payment_body import parse_payment
from tests.gateway.fake_gateway import FakeGateway

ID = UUID("c56a4180-65aa-42ec-a945-5fd21dec0538")
JSON = "application/json"
MSGPACK = "application/msgpack"
pack = msgpack.packb


def posted(amount: str, correlation_id: str = f'"{ID}"', more: str = "") -> bytes:
    return f'{{"correlationId": {correlation_id}, "amount": {amount}{more}}}'.encode()


def packed(amount: object, correlation_id: object = ID.bytes, **more: object) -> bytes:
    return pack({"correlationId": correlation_id, "amount": amount, **more})


def compact(amount: object, correlation_id: object = ID.bytes, *more: object) -> bytes:
    return pack([correlation_id, amount, *more])


def float32(value: float) -> bytes:
    return b"\x92\xc4\x10" + ID.bytes + b"\xca" + struct.pack(">f", value)


BAD_JSON_AMOUNTS = {
    "zero": "0",
    "zero with decimals": "0.00",
    "minus zero": "-0",
    "negative": "-19.90",
    "three decimals": "19.901",
    "more decimals than a double has": "19.999999999999999999",
    "a decimal far behind": f"1.{'0' * 15_000}1",
    "below a cent": "0.009",
    "far below a cent": "1e-999999",
    "above the maximum": "1000000000000.01",
    "far above the maximum": "1e400",
    "of very many digits": "9" * 16_000,
    "an exponent that no decimal has": "1e99999999999999999999",
    "a negative exponent that no decimal has": "1e-99999999999999999999",
    "zero with such an exponent": "0e99999999999999999999",
    "not a number": "NaN",
    "infinite": "Infinity",
    "negative infinite": "-Infinity",
    "true": "true",
    "false": "false",
    "null": "null",
    "a string": '"19.90"',
    "an array": "[19.90]",
    "an object": "{}",
}
BAD_MSGPACK_AMOUNTS = {
    "zero": 0,
    "zero as a float": 0.0,
    "minus zero": -0.0,
    "negative": -1,
    "negative float": -19.9,
    "three decimals": 19.901,
    "below a cent": 0.009,
    "least double": 5e-324,
    "above the maximum": 10**12 + 1,
    "greatest integer": 2**64 - 1,
    "greatest double": 1.7e308,
    "not a number": float("nan"),
    "infinite": float("inf"),
    "negative infinite": float("-inf"),
    "true": True,
    "false": False,
    "null": None,
    "a string": "19.90",
    "bytes": b"19.90",
    "an array": [19.9],
    "a map": {"amount": 19.9},
    "a map with array keys": {(1, 2): 3},
    "an extension": msgpack.ExtType(1, b"19.90"),
    "a timestamp": msgpack.Timestamp(1, 0),
    "a timestamp out of range": msgpack.Timestamp(2**62, 0),
}
BAD_JSON_IDS = {
    "empty": '""',
    "a word": '"payment-1"',
    "one digit short": '"c56a4180-65aa-42ec-a945-5fd21dec053"',
    "one digit long": '"c56a4180-65aa-42ec-a945-5fd21dec05380"',
    "hyphens elsewhere": '"c56a-4180-65aa42eca9455fd21dec0538"',
    "no hexadecimal digit": '"g56a4180-65aa-42ec-a945-5fd21dec0538"',
    "in braces": f'"{{{ID}}}"',
    "a URN": f'"{ID.urn}"',
    "a number": "1",
    "true": "true",
    "null": "null",
    "an array": "[]",
    "an object": "{}",
}
BAD_MSGPACK_IDS = {
    "empty": b"",
    "15 bytes": ID.bytes[1:],
    "17 bytes": ID.bytes + b"0",
    "a word": "payment-1",
    "a number": 1,
    "true": True,
    "null": None,
    "an array": [],
    "an extension": msgpack.ExtType(2, ID.bytes),
}
BAD_JSON_BODIES = {
    "none": b"",
    "blank": b"  ",
    "cut off": posted("19.90")[:-1],
    "a word": b"payment",
    "a number": b"19.90",
    "null": b"null",
    "an array": f'["{ID}", 19.90]'.encode(),
    "a byte order mark": b"\xef\xbb\xbf" + posted("19.90"),
    "something behind it": posted("19.90") + b"x",
    "two of them": posted("19.90") * 2,
    "a comma too many": posted("19.90,"),
    "no UTF-8": posted("19.90").replace(b"}", b', "note": "\xff"}'),
    "UTF-16": posted("19.90").decode().encode("utf-16"),
    "no amount at all": posted(""),
    "a leading zero": posted("019.90"),
    "no digit before the point": posted(".90"),
    "no digit behind the point": posted("19."),
    "a plus sign": posted("+19.90"),
    "an underscore": posted("1_000"),
    "hexadecimal": posted("0x10"),
    "an unfinished exponent": posted("1e"),
    "nested too deeply": b'{"a":' * 3_000,
    "an amount nested too deeply": posted("[" * 16_000),
    "MessagePack": packed(19.9),
}
BAD_MSGPACK_BODIES = {
    "none": b"",
    "cut off map": packed(19.9)[:-1],
    "cut off array": compact(19.9)[:-1],
    "something behind a map": packed(19.9) + b"\0",
    "something behind an array": compact(19.9) + b"\0",
    "an array of none": pack([]),
    "an array of one": pack([ID.bytes]),
    "an array of four": compact(19.9, ID.bytes, "BRL", 1),
    "an array said to be huge": b"\xdd\xff\xff\xff\xff",
    "a map said to be huge": b"\xdf\xff\xff\xff\xff",
    "no type": b"\xc1",
    "an amount of no type": compact(1)[:-1] + b"\xc1",
    "a number": pack(19.9),
    "a string": pack("payment"),
    "an extension": pack(msgpack.ExtType(1, compact(19.9))),
    "keys as bytes": pack({b"correlationId": ID.bytes, b"amount": 19.9}),
    "keys as numbers": pack({0: ID.bytes, 1: 19.9}),
    "nested too deeply": compact(1)[:-1] + b"\x91" * 16_000,
    "unhashable keys": compact(1)[:-1] + b"\x81\x80",
    "JSON": posted("19.90"),
}
BAD_CURRENCIES = {
    "empty": "",
    "two letters": "BR",
    "four letters": "BRLL",
    "with a space": "BRL ",
    "unknown": "ABC",
    "without minor units": "XAU",
    "a numeric code": "986",
    "letters whose capitals are others": "\u00dfp",
}
BAD_MSGPACK_CURRENCIES = {**BAD_CURRENCIES, "null": None, "a number": 986, "bytes": b"BRL", "an array": ["BRL"]}
BAD_IN_ITS_CURRENCY = {"JPY": 19.9, "KWD": 1.2345, "CLF": 1.23456, "BRL": 19.901}
WITHOUT = {
    "correlationId": (b'{"amount": 19.90}', pack({"amount": 19.9})),
    "amount": (posted("1").replace(b"amount", b"Amount"), pack({"correlationId": ID.bytes})),
}
REFUSED = [
    *(pytest.param(posted(v), JSON, "amount", id=f"JSON amount: {k}") for k, v in BAD_JSON_AMOUNTS.items()),
    *(pytest.param(packed(v), MSGPACK, "amount", id=f"map amount: {k}") for k, v in BAD_MSGPACK_AMOUNTS.items()),
    *(pytest.param(compact(v), MSGPACK, "amount", id=f"array amount: {k}") for k, v in BAD_MSGPACK_AMOUNTS.items()),
    pytest.param(float32(20_000_000.01), MSGPACK, "amount", id="array amount: a float32 of many amounts"),
    *(pytest.param(posted("1", v), JSON, "correlationId", id=f"JSON id: {k}") for k, v in BAD_JSON_IDS.items()),
    *(pytest.param(packed(1, v), MSGPACK, "correlationId", id=f"map id: {k}") for k, v in BAD_MSGPACK_IDS.items()),
    *(pytest.param(compact(1, v), MSGPACK, "correlationId", id=f"array id: {k}") for k, v in BAD_MSGPACK_IDS.items()),
    *(pytest.param(v, JSON, "body", id=f"JSON body: {k}") for k, v in BAD_JSON_BODIES.items()),
    *(pytest.param(v, MSGPACK, "body", id=f"MessagePack body: {k}") for k, v in BAD_MSGPACK_BODIES.items()),
    *(
        pytest.param(posted("1", more=f', "currency": {json.dumps(v)}'), JSON, "currency", id=f"JSON currency: {k}")
        for k, v in (BAD_CURRENCIES | {"null": None, "a number": 986, "an array": ["BRL"]}).items()
    ),
    *(
        pytest.param(packed(1, currency=v), MSGPACK, "currency", id=f"map currency: {k}")
        for k, v in BAD_MSGPACK_CURRENCIES.items()
    ),
    *(
        pytest.param(compact(1, ID.bytes, v), MSGPACK, "currency", id=f"array currency: {k}")
        for k, v in BAD_MSGPACK_CURRENCIES.items()
    ),
    *(
        pytest.param(body, content_type, "amount", id=f"{content_type}: {amount} {code}")
        for code, amount in BAD_IN_ITS_CURRENCY.items()
        for body, content_type in (
            (posted(str(amount), more=f', "currency": "{code}"'), JSON),
            (packed(amount, currency=code), MSGPACK),
            (compact(amount, ID.bytes, code), MSGPACK),
        )
    ),
    *(pytest.param(v[0], JSON, k, id=f"JSON without {k}") for k, v in WITHOUT.items()),
    *(pytest.param(v[1], MSGPACK, k, id=f"map without {k}") for k, v in WITHOUT.items()),
]


@pytest.mark.parametrize("answer_type", ["json", "msgpack"])
@pytest.mark.parametrize(("body", "content_type", "field"), REFUSED)
def test_a_bad_payment_is_refused_with_the_name_of_its_field(
    client: falcon.testing.TestClient,
    gateway: FakeGateway,
    body: bytes,
    content_type: str,
    field: str,
    answer_type: str,
) -> None:
    assert len(body) <= 16 * 1024
    headers = {"Content-Type": content_type, "Accept": f"application/{answer_type}"}
    answer = client.simulate_post("/payments", body=body, headers=headers)
    problem = told(answer, answer_type)
    assert (400, 400, field) == (answer.status_code, problem["status"], problem["field"])
    assert problem["detail"].startswith(f"{field}: ")
    assert gateway.kept == {}


def told(answer: falcon.testing.Result, answer_type: str = "json") -> dict[str, Any]:
    assert answer.headers["content-type"] == f"application/problem+{answer_type}"
    problem: dict[str, Any] = (json.loads if answer_type == "json" else msgpack.unpackb)(answer.content)
    return problem


LIMIT = 16 * 1024


@pytest.mark.parametrize(("size", "status"), [(LIMIT, 202), (LIMIT + 1, 413), (10 * LIMIT, 413)])
@pytest.mark.parametrize("content_type", [JSON, MSGPACK])
def test_a_body_has_at_most_16_kib(
    client: falcon.testing.TestClient, gateway: FakeGateway, content_type: str, size: int, status: int
) -> None:
    if content_type == JSON:
        body = posted("19.90").ljust(size)
    else:
        body = packed(19.9, note=b"").removesuffix(b"\xc4\0")
        body += b"\xc6" + struct.pack(">I", size - len(body) - 5)
        body = body.ljust(size)
    assert len(body) == size
    answer = client.simulate_post("/payments", body=body, headers={"Content-Type": content_type})
    assert answer.status_code == status
    assert len(gateway.kept) == (status == 202)
    if status == 413:
        assert told(answer)["field"] == "body"


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "application", "", ";", "\xe9", "json"],
)
def test_another_content_type_is_refused(
    client: falcon.testing.TestClient, gateway: FakeGateway, content_type: str
) -> None:
    answer = client.simulate_post("/payments", body=posted("19.90"), headers={"Content-Type": content_type})
    assert (answer.status_code, told(answer)["field"]) == (415, "Content-Type")
    assert gateway.kept == {}


GOOD = [
    *((posted(text), JSON, cents) for text, cents in [("19.9", 1990), ("19.90", 1990), ("19.900", 1990), ("19", 1900)]),
    *((posted(text), JSON, cents) for text, cents in [("1e3", 100_000), ("1E-2", 1), ("0.199e+2", 1990), ("0.01", 1)]),
    *((posted(text), JSON, 10**14) for text in ("1000000000000", "1000000000000.00", "1e12")),
    (posted("999999999999.99"), JSON, 99_999_999_999_999),
    (posted("  19.90  "), JSON, 1990),
    (posted("19.90", f'"{str(ID).upper()}"'), JSON, 1990),
    (posted("19.90", f'"{ID.hex}"'), JSON, 1990),
    (posted("19.90", more=', "note": {"a": [1, null, "\u00e9"]}'), JSON, 1990),
    (posted("19.90"), "application/json; charset=utf-8", 1990),
    (posted("19.90"), "Application/JSON;charset=UTF-8", 1990),
    (packed(19.9), MSGPACK, 1990),
    (packed(19), MSGPACK, 1900),
    (packed(0.01), MSGPACK, 1),
    (packed(10**12), MSGPACK, 10**14),
    (packed(999_999_999_999.99), MSGPACK, 99_999_999_999_999),
    (packed(19.9, str(ID)), "application/x-msgpack", 1990),
    (packed(19.9, ID.hex.upper()), "application/vnd.msgpack", 1990),
    (packed(19.9, note=msgpack.ExtType(5, b"")), MSGPACK, 1990),
    (compact(19.9), MSGPACK, 1990),
    (compact(19), "application/msgpack; v=1", 1900),
    (compact(19.9, str(ID)), MSGPACK, 1990),
    (b"\xdc\x00\x02" + compact(19.9)[1:], MSGPACK, 1990),
    (b"\xdd\x00\x00\x00\x02" + compact(19.9)[1:], MSGPACK, 1990),
    (float32(0.5), MSGPACK, 50),
    (float32(19.9), MSGPACK, 1990),
    (float32(131_071.99), MSGPACK, 13_107_199),
]


@pytest.mark.parametrize(("body", "content_type", "cents"), GOOD)
def test_a_good_payment_is_accepted_in_every_form(
    client: falcon.testing.TestClient, gateway: FakeGateway, body: bytes, content_type: str, cents: int
) -> None:
    answer = client.simulate_post("/payments", body=body, headers={"Content-Type": content_type})
    assert answer.status_code == 202
    assert [(ID, cents)] == [(payment.correlation_id, payment.amount_minor) for payment in gateway.kept.values()]


IN_CURRENCIES = [
    ("BRL", "19.90", 1990),
    ("brl", "19.9", 1990),
    ("JPY", "1990", 1990),
    ("jpy", "1990.0", 1990),
    ("KWD", "1.234", 1234),
    ("Kwd", "0.001", 1),
    ("CLF", "1.2345", 12345),
    ("USD", "1000000000000.00", 10**14),
    ("KWD", "1000000000000", 10**15),
]


@pytest.mark.parametrize(("code", "amount", "minor"), IN_CURRENCIES)
def test_a_payment_in_any_currency_is_accepted_in_every_form_with_its_own_decimals(
    client: falcon.testing.TestClient, gateway: FakeGateway, code: str, amount: str, minor: int
) -> None:
    forms = [
        (posted(amount, more=f', "currency": "{code}"'), JSON),
        (packed(float(amount), currency=code), MSGPACK),
        (compact(float(amount), ID.bytes, code), MSGPACK),
        (b"\xdc\x00\x03" + compact(float(amount), ID.bytes, code)[1:], MSGPACK),
    ]
    for body, content_type in forms:
        gateway.kept.clear()
        answer = client.simulate_post("/payments", body=body, headers={"Content-Type": content_type})
        assert answer.status_code == 202
        assert gateway.kept[ID].money == Money(minor, code.upper())


def test_an_id_is_refused_with_its_amount_in_another_currency(
    client: falcon.testing.TestClient, gateway: FakeGateway
) -> None:
    codes = ("", ', "currency": "brl"', ', "currency": "USD"')
    answers = [client.simulate_post("/payments", body=posted("19.90", more=code)) for code in codes]
    assert [answer.status_code for answer in answers] == [202, 202, 409]
    assert told(answers[2])["detail"] == f"{ID} was accepted with another amount or currency before"
    assert gateway.kept[ID].money == Money(1990, "BRL")


def test_a_payment_that_names_no_currency_is_in_the_default_one(gateway: FakeGateway) -> None:
    currencies = PostedCurrencies("JPY", frozenset({"JPY", "USD"}))
    client = falcon.testing.TestClient(
        create_app(gateway, gateway, gateway, gateway, allow_purge=False, allow_force=False, currencies=currencies)
    )
    assert client.simulate_post("/payments", body=posted("1990")).status_code == 202
    assert gateway.kept[ID].money == Money(1990, "JPY")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (posted("1", more=', "currency": "KWD"'), JSON),
        (packed(1, currency="kwd"), MSGPACK),
        (compact(1, ID.bytes, "KWD"), MSGPACK),
    ],
)
def test_a_currency_that_no_processor_takes_is_refused(gateway: FakeGateway, body: bytes, content_type: str) -> None:
    currencies = PostedCurrencies("BRL", frozenset({"BRL", "USD"}))
    client = falcon.testing.TestClient(
        create_app(gateway, gateway, gateway, gateway, allow_purge=False, allow_force=False, currencies=currencies)
    )
    answer = client.simulate_post("/payments", body=body, headers={"Content-Type": content_type})
    problem = told(answer)
    assert (
        answer.status_code,
        problem["field"],
        problem["detail"],
    ) == (400, "currency", "currency: no processor takes KWD")
    assert gateway.kept == {}


@settings(deadline=None)
@given(st.sampled_from(list(DECIMALS)), st.data())
def test_any_amount_of_any_currency_is_read_as_it_was_written(code: str, data: st.DataObject) -> None:
    # A double holds 15 significant digits exactly.
    money = Money(data.draw(st.integers(1, 10**15 if DECIMALS[code] > 2 else 10**12)), code)
    for body, is_msgpack in (
        (posted(str(money.decimal), more=f', "currency": "{code.lower()}"'), False),
        (packed(float(money.decimal), currency=code), True),
        (compact(float(money.decimal), ID.bytes, code), True),
    ):
        assert parse_payment(body, ALL_CURRENCIES, 1, is_msgpack=is_msgpack) == Payment(ID, money.minor, 1, code)


def test_a_body_without_a_type_is_json(client: falcon.testing.TestClient, gateway: FakeGateway) -> None:
    assert client.simulate_post("/payments", body=posted("19.90")).status_code == 202
    assert list(gateway.kept) == [ID]


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_a_foreign_page_has_to_name_the_type_so_that_its_browser_asks_first(
    client: falcon.testing.TestClient, gateway: FakeGateway, headers: dict[str, str]
) -> None:
    answer = client.simulate_post("/payments", body=posted("19.90"), headers=headers)
    assert (answer.status_code, told(answer)["field"], gateway.kept) == (415, "Content-Type", {})


class BrokenStream(io.BytesIO):
    """What the server finds out only while it reads a body."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def read(self, _size: int | None = None, /) -> bytes:
        raise self._error


@pytest.mark.parametrize("error", [InvalidChunkSize("zz"), ConnectionResetError("the client went away")])
def test_a_body_that_breaks_off_is_refused(
    client: falcon.testing.TestClient, gateway: FakeGateway, error: Exception
) -> None:
    answer = client.simulate_post("/payments", extras={"wsgi.input": BrokenStream(error)})
    assert (answer.status_code, told(answer)["field"]) == (400, "body")
    assert gateway.kept == {}
