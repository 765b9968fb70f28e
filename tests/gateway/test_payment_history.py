"""The history of one payment is told step by step, with what is recorded and what replicas remember in one order."""

from uuid import UUID

import falcon.testing

from actors.domain.history_questions import ToldHistory, ToldStep
from actors.domain.lifecycle import State
from actors.domain.money import Money
from actors.domain.payment import Closing, EndState, Payment, Settlement
from actors.domain.records import PaymentRecord
from actors.domain.work import Driven
from actors.errors import GatewayUnavailableError
from actors.queries import PaymentStatus
from tests.gateway.fake_gateway import NOW_MS, FakeGateway

ID = UUID("4a7901b8-7d26-4d9d-aa19-4dc1c7cf60b3")
MONEY = Money(1990, "BRL")
PAYMENT = Payment(ID, 1990, NOW_MS)
FAILED = ToldStep(NOW_MS + 9, "charge ended: failed", "default")


def record(settlement: Settlement | None = None, closing: Closing | None = None) -> PaymentRecord:
    return PaymentRecord(PAYMENT, "default", None, settlement, (), closing)


def steps(client: falcon.testing.TestClient) -> list[tuple[str, str, str | None, str | None]]:
    told = client.simulate_get(f"/payments/{ID}/history").json
    return [(step["at"][17:23], step["what"], step["processor"], step["replica"]) for step in told["steps"]]


def test_a_settled_payment_tells_what_each_replica_did_in_order(
    client: falcon.testing.TestClient, gateway: FakeGateway
) -> None:
    settlement = Settlement(PAYMENT, "default", NOW_MS + 30, 2, NOW_MS + 50)
    gateway.statuses[ID] = PaymentStatus(ID, MONEY, record(settlement))
    gateway.told_histories = (
        ToldHistory("2", (ToldStep(NOW_MS + 29, "taken up from its row", "default"),), None),
        ToldHistory("1", (ToldStep(NOW_MS + 5, "sent", "default"), FAILED), None),
    )
    assert steps(client) == [
        ("56.789", "accepted: it is in a journal", None, None),
        ("56.794", "sent", "default", "1"),
        ("56.798", "charge ended: failed", "default", "1"),
        ("56.818", "taken up from its row", "default", "2"),
        ("56.819", "charged under this instant", "default", None),
        ("56.839", "the processor had answered", "default", None),
    ]


def test_one_that_is_driven_tells_what_it_waits_for(client: falcon.testing.TestClient, gateway: FakeGateway) -> None:
    gateway.statuses[ID] = PaymentStatus(ID, MONEY, driven=Driven(PAYMENT, State.HELD, None, 0, pinned=False))
    gateway.told_histories = (ToldHistory("1", (), None), ToldHistory("2", (), "waits: no processor works"))
    told = client.simulate_get(f"/payments/{ID}/history").json
    assert (told["correlationId"], told["waitsFor"]) == (str(ID), "waits: no processor works")
    assert [step["what"] for step in told["steps"]] == ["accepted: it is in a journal"]


def test_one_that_ended_without_a_charge_says_so(client: falcon.testing.TestClient, gateway: FakeGateway) -> None:
    closing = Closing(PAYMENT, EndState.DECLINED, "default", 2, NOW_MS + 70)
    gateway.statuses[ID] = PaymentStatus(ID, MONEY, record(closing=closing))
    assert steps(client)[-1] == ("56.859", "ended without a charge: declined", "default", None)


def test_an_unknown_payment_has_no_history(client: falcon.testing.TestClient, gateway: FakeGateway) -> None:
    assert client.simulate_get(f"/payments/{ID}/history").status_code == 404
    assert client.simulate_get("/payments/7/history").status_code == 400
    gateway.error = GatewayUnavailableError("planted")
    assert client.simulate_get(f"/payments/{ID}/history").status_code == 503


def test_of_one_that_stands_in_a_journal_alone_just_that_is_told(
    client: falcon.testing.TestClient, gateway: FakeGateway
) -> None:
    gateway.statuses[ID] = PaymentStatus(ID, MONEY)
    told = client.simulate_get(f"/payments/{ID}/history").json
    assert told["steps"] == [{"at": None, "what": "accepted: it is in a journal", "processor": None, "replica": None}]
    assert told["waitsFor"] == "room in memory: it stands in a journal"
