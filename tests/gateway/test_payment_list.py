"""`GET /payments?state=…`."""

from dataclasses import replace
from uuid import UUID

import falcon.testing
import msgpack
import pytest

from actors.domain.payment import Closing, EndState
from actors.domain.records import FIRST, PaymentRecord, PaymentState, Position
from actors.queries import PaymentStatus
from tests.actors.fakes import payment
from tests.gateway.fake_gateway import NOW_MS, FakeGateway


def declined(number: int) -> PaymentStatus:
    subject = replace(payment(number), accepted_at_ms=NOW_MS + number)
    closing = Closing(subject, EndState.DECLINED, "fallback", 2, NOW_MS)
    record = PaymentRecord(subject, "fallback", None, None, (), closing)
    return PaymentStatus(subject.correlation_id, subject.money, record)


def position_of(number: int) -> Position:
    return Position(NOW_MS + number, UUID(int=number))


def test_a_list_shows_each_payment_as_it_is_shown_alone(
    client: falcon.testing.TestClient, gateway: FakeGateway
) -> None:
    gateway.listed = (declined(1),)
    answer = client.simulate_get("/payments", params={"state": "declined"})
    assert answer.status_code == 200
    assert answer.json == {
        "payments": [
            {
                "correlationId": str(UUID(int=1)),
                "amount": 19.9,
                "currency": "BRL",
                "state": "declined",
                "processor": "fallback",
                "acceptedAt": "2025-07-15T12:34:56.790Z",
                "requestedAt": None,
                "attempts": 2,
                "replica": None,
            }
        ],
        "next": None,
    }
    assert gateway.lists == [(PaymentState.DECLINED, FIRST, 101)]


def test_a_full_page_leads_to_the_next_one(client: falcon.testing.TestClient, gateway: FakeGateway) -> None:
    gateway.listed = tuple(declined(number) for number in range(1, 4))
    first = client.simulate_get("/payments", params={"state": "declined", "limit": "2"}).json
    assert [each["correlationId"] for each in first["payments"]] == [str(UUID(int=1)), str(UUID(int=2))]
    gateway.listed = (declined(3),)
    params = {"state": "declined", "limit": "2", "cursor": first["next"]}
    assert client.simulate_get("/payments", params=params).json["next"] is None
    assert gateway.lists == [
        (PaymentState.DECLINED, FIRST, 3),
        (PaymentState.DECLINED, position_of(2), 3),
    ]


def test_an_empty_limit_or_cursor_is_none(client: falcon.testing.TestClient, gateway: FakeGateway) -> None:
    assert client.simulate_get("/payments", query_string="state=declined&limit=&cursor=").status_code == 200
    assert gateway.lists == [(PaymentState.DECLINED, FIRST, 101)]


@pytest.mark.parametrize("state", PaymentState)
def test_every_state_can_be_listed(
    client: falcon.testing.TestClient, gateway: FakeGateway, state: PaymentState
) -> None:
    answer = client.simulate_get("/payments", params={"state": state.value}, headers={"Accept": "application/msgpack"})
    assert msgpack.unpackb(answer.content) == {"payments": [], "next": None}
    assert [listed for listed, _, _ in gateway.lists] == [state]


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({}, "state"),
        ({"state": "charged"}, "state"),
        ({"state": "unknown", "limit": "0"}, "limit"),
        ({"state": "unknown", "limit": "501"}, "limit"),
        ({"state": "unknown", "limit": "ten"}, "limit"),
        ({"state": "unknown", "limit": "²"}, "limit"),
        ({"state": "unknown", "limit": "1" * 5_000}, "limit"),
        ({"state": "unknown", "limit": ["1", "2"]}, "limit"),
        ({"state": ["unknown", "settled"]}, "state"),
        ({"state": ""}, "state"),
        ({"state": "unknown", "cursor": [f"7.{UUID(int=1)}"] * 2}, "cursor"),
        ({"state": "unknown", "cursor": f"{'7' * 5_000}.{UUID(int=1)}"}, "cursor"),
        ({"state": "unknown", "cursor": "7"}, "cursor"),
        ({"state": "unknown", "cursor": "7.8"}, "cursor"),
        ({"state": "unknown", "cursor": f"{2**63}.{UUID(int=1)}"}, "cursor"),
        ({"state": "unknown", "cursor": f" 7.{UUID(int=1)}"}, "cursor"),
        ({"state": "unknown", "cursor": f"7.{{{UUID(int=1)}}}"}, "cursor"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    client: falcon.testing.TestClient, gateway: FakeGateway, params: dict[str, str | list[str]], field: str
) -> None:
    refused = client.simulate_get("/payments", params=params, params_csv=False)
    assert (refused.status_code, refused.json["field"], gateway.lists) == (400, field, [])
