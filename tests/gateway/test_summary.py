import falcon.testing
import msgpack
import pytest

from actors.errors import LedgerUnavailableError
from actors.summaries import WindowSummary
from tests.gateway.fake_gateway import NOW_MS, FakeGateway, totals

NOW = "2025-07-15T12:34:56.789Z"


def test_both_names_of_the_event_are_there_when_nothing_was_charged(client: falcon.testing.TestClient) -> None:
    answer = client.simulate_get("/payments-summary")
    nothing = b'{"totalRequests":0,"totalAmount":0.00}'
    assert b'{"default":%b,"fallback":%b}' % (nothing, nothing) == answer.content
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")


def test_amounts_are_exact_to_the_cent_however_large(client: falcon.testing.TestClient, gateway: FakeGateway) -> None:
    gateway.window = WindowSummary(totals(default=10**21 + 1, fallback=1, third=1990), final=True)
    expected = (
        b'{"default":{"totalRequests":1000000000000000000001,"totalAmount":10000000000000000000.01},'
        b'"fallback":{"totalRequests":1,"totalAmount":0.01},"third":{"totalRequests":1990,"totalAmount":19.90}}'
    )
    assert expected == client.simulate_get("/payments-summary").content


def test_messagepack_tells_cents_apart_up_to_two_to_the_46th(
    client: falcon.testing.TestClient, gateway: FakeGateway
) -> None:
    cents = 2**46 * 100 - 1
    gateway.window = WindowSummary(totals(default=cents, fallback=0), final=True)
    answer = client.simulate_get("/payments-summary", headers={"Accept": "application/msgpack"})
    assert answer.headers["content-type"] == "application/msgpack"
    expected = {
        "default": {"totalRequests": cents, "totalAmount": 70_368_744_177_663.99},
        "fallback": {"totalRequests": 0, "totalAmount": 0.0},
    }
    told = msgpack.unpackb(answer.content)
    assert expected == told
    assert cents == round(told["default"]["totalAmount"] * 100)


def test_messagepack_has_text_where_a_double_would_falsify_a_total(
    client: falcon.testing.TestClient, gateway: FakeGateway
) -> None:
    cents = 92_234 * 10**14 + 1
    gateway.window = WindowSummary(totals(default=cents, fallback=cents - 1), final=True)
    answer = client.simulate_get("/payments-summary", headers={"Accept": "application/msgpack"})
    told = msgpack.unpackb(answer.content)
    assert [told[name]["totalAmount"] for name in ("default", "fallback")] == ["92234000000000000.01", 92_234e12]
    assert client.simulate_get("/payments-summary").content.count(b'"totalAmount":92234000000000000.0') == 2


def test_other_currencies_stand_apart_with_their_own_decimals(
    client: falcon.testing.TestClient, gateway: FakeGateway
) -> None:
    others = {"JPY": totals("JPY", default=1990, fallback=0), "KWD": totals("KWD", default=0, fallback=1234)}
    gateway.window = WindowSummary(totals(default=1, fallback=0), final=True, others=others)
    expected = (
        b'{"default":{"totalRequests":1,"totalAmount":0.01},"fallback":{"totalRequests":0,"totalAmount":0.00},'
        b'"currencies":{'
        b'"JPY":{"default":{"totalRequests":1990,"totalAmount":1990},"fallback":{"totalRequests":0,"totalAmount":0}},'
        b'"KWD":{"default":{"totalRequests":0,"totalAmount":0.000},"fallback":{"totalRequests":1234,"totalAmount":1.234}}'
        b"}}"
    )
    assert expected == client.simulate_get("/payments-summary").content


@pytest.mark.parametrize(("final", "header"), [(True, "true"), (False, "false")])
def test_a_header_tells_whether_the_window_is_complete(
    client: falcon.testing.TestClient, gateway: FakeGateway, *, final: bool, header: str
) -> None:
    gateway.window = WindowSummary(totals(default=0, fallback=0), final=final)
    assert header == client.simulate_get("/payments-summary").headers["fiel-summary-final"]


@pytest.mark.parametrize(("as_of_ms", "header"), [(NOW_MS, NOW), (None, None)])
def test_a_header_tells_the_instant_of_which_the_totals_are(
    client: falcon.testing.TestClient, gateway: FakeGateway, as_of_ms: int | None, header: str | None
) -> None:
    gateway.window = WindowSummary(totals(default=0, fallback=0), final=False, as_of_ms=as_of_ms)
    assert header == client.simulate_get("/payments-summary").headers.get("fiel-summary-as-of")


@pytest.mark.parametrize(
    ("query", "window"),
    [
        ("", (None, None)),
        (f"from={NOW}", (NOW_MS, None)),
        (f"to={NOW}", (None, NOW_MS)),
        (f"from={NOW}&to={NOW}", (NOW_MS, NOW_MS)),
        ("from=2025-07-15T12:34:56.789", (NOW_MS, None)),
        ("from=2025-07-15T14:34:56.789%2B02:00", (NOW_MS, None)),
        ("from=2025-07-15T12:34:56.788001Z&to=2025-07-15T12:34:56.789999Z", (NOW_MS, NOW_MS)),
        ("from=2025-07-15T12:34:56.7891Z&to=2025-07-15T12:34:56.7899Z", (NOW_MS + 1, NOW_MS)),
        ("from=1970-01-01T00:00:00Z", (0, None)),
        ("from=0001-01-01T00:00:00%2B01:00", (-62_135_600_400_000, None)),
        ("to=9999-12-31T23:59:59.999-01:00", (None, 253_402_304_399_999)),
        ("from=&to=", (None, None)),
        (f"from&to={NOW}", (None, NOW_MS)),
        (f"xfrom=&valid_from={NOW}&other=1", (None, None)),
    ],
)
def test_the_bounds_are_asked_for_to_the_millisecond(
    client: falcon.testing.TestClient, gateway: FakeGateway, query: str, window: tuple[int | None, int | None]
) -> None:
    assert client.simulate_get("/payments-summary", query_string=query).status_code == 200
    assert [window] == gateway.asked


BAD_INSTANTS = [
    *("%20", "now", "1752582896789", "2025-07-15", "12:34:56Z", "2025-13-15T12:34:56Z", "2025-02-30T12:34:56Z"),
    *("2025-07-15T25:34:56Z", "2025-07-15T12:34:56ZZ", "2025-07-15T12:34:56+02:00", "9999-12-31T24:61:00Z"),
    *("%FF", "%00", "T", "99999-01-01T00:00:00Z", "null", f"{NOW},{NOW}"),
]


@pytest.mark.parametrize("name", ["from", "to"])
@pytest.mark.parametrize("text", BAD_INSTANTS)
def test_a_bad_bound_is_refused(client: falcon.testing.TestClient, gateway: FakeGateway, name: str, text: str) -> None:
    refused(client.simulate_get("/payments-summary", query_string=f"{name}={text}"), name)
    assert gateway.asked == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (f"from={NOW}&from={NOW}", "from"),
        (f"to=&to={NOW}", "to"),
        (f"from={NOW}&to=2025-07-15T12:34:56.788Z", "from"),
        (f"from={NOW}&to=2025-07-15T12:34:56.7889Z", "from"),
    ],
)
def test_bounds_that_make_no_window_are_refused(
    client: falcon.testing.TestClient, gateway: FakeGateway, query: str, field: str
) -> None:
    refused(client.simulate_get("/payments-summary", query_string=query), field)
    assert gateway.asked == []


def refused(answer: falcon.testing.Result, field: str) -> None:
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert (400, field) == (answer.json["status"], answer.json["field"])


def test_without_postgres_there_is_no_summary(client: falcon.testing.TestClient, gateway: FakeGateway) -> None:
    gateway.error = LedgerUnavailableError("refused")
    answer = client.simulate_get("/payments-summary")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
