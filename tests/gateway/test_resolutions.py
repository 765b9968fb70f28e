"""`POST /payments/{correlationId}/resolution`."""

from uuid import UUID

import falcon.testing
import msgpack
import pytest

from actors.domain.payment import Payment
from actors.domain.records import PaymentRecord
from actors.domain.resolution import Finding, ResolutionAnswer
from actors.queries import PaymentStatus
from gateway.app import create_app
from tests.gateway.fake_gateway import NOW_MS, FakeGateway, client_of

ID = UUID("4a7901b8-7d26-4d9d-aa19-4dc1c7cf60b3")
PATH = f"/payments/{ID}/resolution"
CHARGED = {"chargedBy": "fallback", "requestedAt": "2025-07-15T12:34:56.789Z"}
PROBLEM = "application/problem+json"


def test_what_an_operator_says_is_passed_on_with_who_says_so(
    client: falcon.testing.TestClient, gateway: FakeGateway
) -> None:
    answer = client.simulate_post(PATH, json=CHARGED | {"by": "ana"})
    assert (answer.status_code, answer.json) == (200, {"correlationId": str(ID), "resolution": "applied"})
    answer = client.simulate_post(PATH, json={"chargedBy": None})
    assert answer.status_code == 200
    assert gateway.findings == [(Finding(ID, "fallback", NOW_MS), "ana"), (Finding(ID, None, None), "an operator")]


def test_a_processor_that_was_taken_out_may_have_charged_the_payments_that_name_it_and_no_others(
    client: falcon.testing.TestClient, gateway: FakeGateway
) -> None:
    payment = Payment(ID, 1990, NOW_MS)
    record = PaymentRecord(payment, "gone", owner="1", settlement=None, conflicting_amounts=())
    gateway.statuses[ID] = PaymentStatus(ID, payment.money, record)
    charged = CHARGED | {"chargedBy": "gone"}
    assert client.simulate_post(PATH, json=charged).status_code == 200
    assert gateway.findings == [(Finding(ID, "gone", NOW_MS), "an operator")]
    other = f"/payments/{UUID(int=7)}/resolution"
    assert client.simulate_post(other, json=charged).status_code == 400


def test_an_operator_may_speak_messagepack(client: falcon.testing.TestClient, gateway: FakeGateway) -> None:
    headers = {"Content-Type": "application/msgpack", "Accept": "application/msgpack"}
    answer = client.simulate_post(PATH, body=msgpack.packb({"chargedBy": None}), headers=headers)
    assert msgpack.unpackb(answer.content)["resolution"] == "applied"
    assert gateway.findings == [(Finding(ID, None, None), "an operator")]


@pytest.mark.parametrize(
    ("answer", "status", "title"),
    [
        (ResolutionAnswer.MAY_SETTLE, 409, "May settle by itself"),
        (ResolutionAnswer.SETTLED, 409, "Settled"),
        (ResolutionAnswer.NOT_FOUND, 404, "Unknown payment"),
    ],
)
def test_what_is_refused_says_why(
    client: falcon.testing.TestClient, gateway: FakeGateway, answer: ResolutionAnswer, status: int, title: str
) -> None:
    gateway.resolution = answer
    refused = client.simulate_post(PATH, json=CHARGED)
    assert (refused.status_code, refused.headers["content-type"], refused.json["title"]) == (status, PROBLEM, title)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ([], "body"),
        ({"chargedBy": 5}, "body"),
        ({"chargedBy": "nobody", "requestedAt": "2025-07-15T12:34:56Z"}, "chargedBy"),
        ({"chargedBy": "default"}, "requestedAt"),
        ({"chargedBy": "default", "requestedAt": "yesterday"}, "requestedAt"),
        ({"chargedBy": "default", "requestedAt": "2025-07-15T12:34:56.790Z"}, "requestedAt"),
        ({"chargedBy": "default", "requestedAt": "0001-01-01T00:00:00Z"}, "requestedAt"),
        ({"chargedBy": None, "requestedAt": "2025-07-15T12:34:56Z"}, "requestedAt"),
        ({"chargedBy": None, "by": ""}, "by"),
        ({"chargedBy": None, "by": "a\nb"}, "by"),
        ({"chargedBy": None, "by": "a" * 101}, "by"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    client: falcon.testing.TestClient, gateway: FakeGateway, body: object, field: str
) -> None:
    refused = client.simulate_post(PATH, json=body)
    assert (refused.status_code, refused.json["field"], gateway.findings) == (400, field, [])


def test_a_finding_that_names_a_key_twice_is_refused(client: falcon.testing.TestClient, gateway: FakeGateway) -> None:
    refused = client.simulate_post(PATH, body=b'{"chargedBy": null, "chargedBy": null}')
    assert (refused.status_code, refused.json["field"], gateway.findings) == (400, "chargedBy", [])


def test_an_id_that_is_no_uuid_is_refused(client: falcon.testing.TestClient) -> None:
    refused = client.simulate_post("/payments/7/resolution", json={"chargedBy": None})
    assert (refused.status_code, refused.json["field"]) == (400, "correlationId")


@pytest.mark.parametrize(
    ("address", "headers"),
    [
        ("10.0.0.7", {}),
        ("127.0.0.1", {"X-Forwarded-For": "10.0.0.7"}),
        ("127.0.0.1", {"Forwarded": "for=10.0.0.7"}),
    ],
)
def test_nobody_resolves_from_another_machine(
    client: falcon.testing.TestClient, gateway: FakeGateway, address: str, headers: dict[str, str]
) -> None:
    refused = client.simulate_post(PATH, json=CHARGED, remote_addr=address, headers=headers)
    assert (refused.status_code, gateway.findings) == (403, [])


def test_where_a_proxy_hides_who_asks_nobody_resolves(gateway: FakeGateway) -> None:
    app = create_app(gateway, gateway, gateway, gateway, allow_purge=False, allow_force=False, allow_resolve=False)
    refused = client_of(app).simulate_post(PATH, json=CHARGED)
    assert (refused.status_code, refused.json["title"], gateway.findings) == (403, "Not permitted", [])
