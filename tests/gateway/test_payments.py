from dataclasses import replace
from uuid import UUID

import falcon.testing
import msgpack
import pytest

from actors.domain.lifecycle import State
from actors.domain.money import Money
from actors.domain.payment import Closing, EndState, Payment, Settlement
from actors.domain.records import PaymentRecord
from actors.domain.work import Driven
from actors.errors import GatewayUnavailableError, LedgerUnavailableError
from actors.messages.intake import AcceptAnswer
from actors.queries import PaymentStatus
from actors.settings import Durability
from gateway.app import create_app
from tests.gateway.fake_gateway import NOW_MS, FakeGateway, client_of

ID = UUID("c56a4180-65aa-42ec-a945-5fd21dec0538")
PROBLEM = "application/problem+json"
MONEY = Money(1990, "BRL")
OPEN = PaymentRecord(Payment(ID, 1990, NOW_MS), "default", "2", None, ())
SETTLED = PaymentRecord(
    Payment(ID, 1990, NOW_MS),
    "fallback",
    None,
    Settlement(Payment(ID, 1990, NOW_MS), "fallback", NOW_MS + 11, 3, NOW_MS + 12),
    (Money(100, "BRL"), Money(2, "BRL")),
)


def post(client: falcon.testing.TestClient, amount: float = 19.9) -> falcon.testing.Result:
    return client.simulate_post("/payments", json={"correlationId": str(ID), "amount": amount})


def test_an_accepted_payment_is_answered_with_202_and_where_it_is(
    client: falcon.testing.TestClient, gateway: FakeGateway
) -> None:
    answer = post(client)
    assert (202, f"/payments/{ID}", b"") == (answer.status_code, answer.headers["location"], answer.content)
    assert {ID: Payment(ID, 1990, NOW_MS)} == gateway.kept


def test_the_same_id_is_accepted_again_with_the_same_amount_alone(
    client: falcon.testing.TestClient, gateway: FakeGateway
) -> None:
    assert [post(client, amount).status_code for amount in (19.9, 19.90, 20, 19.9)] == [202, 202, 409, 202]
    answer = post(client, 20)
    assert (answer.headers["content-type"], answer.json["status"]) == (PROBLEM, 409)
    assert str(ID) in answer.json["detail"]
    assert {ID: Payment(ID, 1990, NOW_MS)} == gateway.kept


@pytest.mark.parametrize(
    "reason", [AcceptAnswer.OVERLOADED, AcceptAnswer.JOURNAL_UNAVAILABLE, AcceptAnswer.CONTESTED, None]
)
def test_a_payment_that_is_not_kept_now_may_be_posted_again(
    client: falcon.testing.TestClient, gateway: FakeGateway, reason: AcceptAnswer | None
) -> None:
    gateway.answer = reason
    gateway.error = None if reason else GatewayUnavailableError("the gateway is stopping")
    answer = post(client)
    assert (answer.status_code, answer.headers["retry-after"], answer.headers["content-type"]) == (503, "1", PROBLEM)
    assert answer.json["status"] == 503
    assert gateway.kept == {}


@pytest.fixture
def ledger_client(gateway: FakeGateway) -> falcon.testing.TestClient:
    durability = Durability.LEDGER_OR_FSYNC
    app = create_app(gateway, gateway, gateway, gateway, allow_purge=False, allow_force=False, durability=durability)
    return client_of(app)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (AcceptAnswer.ACCEPTED, "ledger"),
        (AcceptAnswer.REPEATED, "ledger"),
        (AcceptAnswer.JOURNALLED, "fsync"),
    ],
)
def test_where_clients_wait_for_rows_each_202_tells_what_it_survives(
    ledger_client: falcon.testing.TestClient, gateway: FakeGateway, answer: AcceptAnswer, told: str
) -> None:
    gateway.answer = answer
    accepted = post(ledger_client)
    assert (accepted.status_code, accepted.headers["durability"]) == (202, told)


def test_elsewhere_a_202_tells_nothing_of_it(client: falcon.testing.TestClient) -> None:
    assert "durability" not in post(client).headers


def test_without_its_row_a_payment_is_refused_or_in_doubt(
    ledger_client: falcon.testing.TestClient, gateway: FakeGateway
) -> None:
    answers = []
    for gateway.answer in (AcceptAnswer.LEDGER_UNAVAILABLE, AcceptAnswer.IN_DOUBT):
        answer = post(ledger_client)
        answers.append((answer.status_code, answer.json["type"]))
        assert answer.headers["retry-after"] == "1"
        assert "durability" not in answer.headers
    assert answers == [(503, "/problems/unavailable"), (504, "/problems/in-doubt")]


def closed(state: EndState) -> PaymentRecord:
    closing = Closing(OPEN.payment, state, "fallback", attempts=5, closed_at_ms=NOW_MS + 900)
    return replace(OPEN, processor="fallback", owner=None, closing=closing)


def driven(state: State, attempts: int, *, pinned: bool) -> Driven:
    return Driven(OPEN.payment, state, "default", attempts, pinned)


@pytest.mark.parametrize(
    ("record", "known", "state", "attempts"),
    [
        (None, None, "accepted", None),
        (None, driven(State.HELD, 0, pinned=False), "accepted", 0),
        (OPEN, None, "accepted", None),
        (OPEN, driven(State.PAUSING, 1, pinned=False), "accepted", 1),
        (OPEN, driven(State.LOOKING_UP, 2, pinned=True), "unknown", 2),
        (OPEN, driven(State.STRANDED, 2, pinned=True), "stranded", 2),
        (replace(OPEN, marked="unknown"), None, "unknown", None),
        (replace(OPEN, marked="stranded"), None, "stranded", None),
        (replace(OPEN, marked="unknown"), driven(State.CHARGING, 4, pinned=False), "accepted", 4),
        (closed(EndState.DECLINED), None, "declined", 5),
        (closed(EndState.MISMATCHED), None, "mismatched", 5),
        (closed(EndState.DECLINED), driven(State.HELD, 5, pinned=False), "declined", 5),
        (SETTLED, None, "settled", 3),
        (SETTLED, driven(State.SETTLING, 2, pinned=True), "settled", 3),
    ],
)
def test_a_payment_tells_its_state_and_attempts(
    client: falcon.testing.TestClient,
    gateway: FakeGateway,
    record: PaymentRecord | None,
    known: Driven | None,
    state: str,
    attempts: int | None,
) -> None:
    gateway.statuses[ID] = PaymentStatus(ID, MONEY, record, known)
    told = client.simulate_get(f"/payments/{ID}").json
    assert (state, attempts) == (told["state"], told["attempts"])


UNKNOWN_YET: dict[str, object] = {
    "correlationId": str(ID),
    "amount": 19.9,
    "currency": "BRL",
    "state": "accepted",
    "processor": None,
    "acceptedAt": None,
    "requestedAt": None,
    "attempts": None,
    "replica": None,
}


@pytest.mark.parametrize(
    ("known", "more"),
    [
        (None, {}),
        (driven(State.HELD, 0, pinned=False), {"acceptedAt": "2025-07-15T12:34:56.789Z", "attempts": 0}),
    ],
)
def test_a_payment_without_a_row_in_postgres_is_told_as_far_as_it_is_known(
    client: falcon.testing.TestClient, gateway: FakeGateway, known: Driven | None, more: dict[str, object]
) -> None:
    gateway.statuses[ID] = PaymentStatus(ID, MONEY, driven=known)
    assert client.simulate_get(f"/payments/{ID}").json == UNKNOWN_YET | more


def test_an_open_payment_tells_who_drives_it_and_when_it_was_accepted(
    client: falcon.testing.TestClient, gateway: FakeGateway
) -> None:
    gateway.statuses[ID] = PaymentStatus(ID, MONEY, OPEN)
    expected = {
        "correlationId": str(ID),
        "amount": 19.9,
        "currency": "BRL",
        "state": "accepted",
        "processor": "default",
        "acceptedAt": "2025-07-15T12:34:56.789Z",
        "requestedAt": None,
        "attempts": None,
        "replica": "2",
    }
    assert expected == client.simulate_get(f"/payments/{ID}").json
    packed = client.simulate_get(f"/payments/{ID}", headers={"Accept": "application/msgpack"})
    assert (expected, "application/msgpack") == (msgpack.unpackb(packed.content), packed.headers["content-type"])


def test_a_settled_payment_tells_its_stamp_and_the_amounts_that_were_refused(
    client: falcon.testing.TestClient, gateway: FakeGateway
) -> None:
    gateway.statuses[ID] = PaymentStatus(ID, MONEY, SETTLED)
    told = client.simulate_get(f"/payments/{ID}").json
    assert (told["processor"], told["requestedAt"]) == ("fallback", "2025-07-15T12:34:56.800Z")
    assert told["refusedAmounts"] == [1.0, 0.02]


def test_amounts_are_told_with_their_currencies_decimals_and_refused_ones_with_the_currency_where_it_differs(
    client: falcon.testing.TestClient, gateway: FakeGateway
) -> None:
    payment = Payment(ID, 1990, NOW_MS, "JPY")
    refused = Money(1234, "KWD"), Money(7, "JPY"), Money(1990, "BRL")
    gateway.statuses[ID] = PaymentStatus(ID, payment.money, PaymentRecord(payment, "default", "2", None, refused))
    answer = client.simulate_get(f"/payments/{ID}")
    assert b'"amount":1990,"currency":"JPY"' in answer.content
    assert b'"refusedAmounts":[{"amount":1.234,"currency":"KWD"},7,{"amount":19.90,"currency":"BRL"}]' in answer.content


@pytest.mark.parametrize("text", [str(ID), str(ID).upper(), ID.hex])
def test_a_payment_is_found_by_its_id_in_every_form_that_can_be_posted(
    client: falcon.testing.TestClient, gateway: FakeGateway, text: str
) -> None:
    gateway.statuses[ID] = PaymentStatus(ID, MONEY, OPEN)
    assert str(ID) == client.simulate_get(f"/payments/{text}").json["correlationId"]


def test_an_unknown_payment_is_not_found(client: falcon.testing.TestClient) -> None:
    answer = client.simulate_get(f"/payments/{ID}")
    assert (answer.status_code, answer.headers["content-type"], answer.json["status"]) == (404, PROBLEM, 404)


@pytest.mark.parametrize(
    "text", ["1", f"{{{ID}}}", ID.urn, f"{ID}0", "c56a_180-65aa-42ec-a945-5fd21dec0538", "%FF", "%00", "é" * 36]
)
def test_a_malformed_id_is_refused(client: falcon.testing.TestClient, text: str) -> None:
    answer = client.simulate_get(f"/payments/{text}")
    assert (
        answer.status_code,
        answer.headers["content-type"],
        answer.json["field"],
    ) == (400, PROBLEM, "correlationId")


def test_what_postgres_says_stays_inside(client: falcon.testing.TestClient, gateway: FakeGateway) -> None:
    gateway.error = LedgerUnavailableError("connection to 10.0.0.7 as user fiel failed")
    answer = client.simulate_get(f"/payments/{ID}")
    assert (
        answer.status_code,
        answer.headers["retry-after"],
        answer.json["detail"],
    ) == (503, "1", "Postgres does not answer")
