"""The ids that clients give their requests stand in the log and in problem details, and go back."""

import json
import logging
from typing import Any

import falcon.testing
import pytest

from actors.errors import LedgerUnavailableError
from gateway.app import create_app
from tests.gateway.fake_gateway import FakeGateway
from tests.lines import lines

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"


class FailingGateway(FakeGateway):
    """Fails at whatever it is asked for payments."""

    planted: Exception = RuntimeError("planted")

    def payment(self, *_: object) -> Any:  # noqa: ANN401  # it answers nothing
        raise self.planted


@pytest.fixture
def client() -> falcon.testing.TestClient:
    gateway = FailingGateway()
    return falcon.testing.TestClient(
        create_app(gateway, gateway, gateway, gateway, allow_purge=False, allow_force=False)
    )


PAYMENT = "/payments/4a7901b8-7d26-4d9d-aa19-4dc1c7cf60b3"


@pytest.mark.parametrize("given", ["a", "4a7901b8-7d26/x:y=%", "~" * 128])
def test_an_id_goes_back_and_stands_in_the_problem(client: falcon.testing.TestClient, given: str) -> None:
    answer = client.simulate_get("/none", headers={"X-Request-ID": given})
    assert answer.status_code == 404
    assert (answer.headers["x-request-id"], answer.json["requestId"]) == (given, given)
    assert client.simulate_get("/livez", headers={"X-Request-ID": given}).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "a b", "ä", "a" * 129, "a\tb"])
def test_what_is_no_id_is_ignored(client: falcon.testing.TestClient, given: str) -> None:
    answer = client.simulate_get("/none", headers={"X-Request-ID": given})
    assert answer.status_code == 404
    assert "x-request-id" not in answer.headers
    assert "requestId" not in answer.json


def test_without_an_id_none_is_made_for_a_clients_fault(client: falcon.testing.TestClient) -> None:
    answer = client.simulate_get("/none")
    assert "requestId" not in answer.json
    assert "x-request-id" not in answer.headers


def test_the_trace_stands_in_the_problem(client: falcon.testing.TestClient) -> None:
    answer = client.simulate_get("/none", headers={"traceparent": TRACEPARENT})
    assert (answer.json["traceId"], "x-request-id" in answer.headers) == (TRACE, False)


@pytest.mark.parametrize(
    "given",
    [
        "",
        TRACE,
        f"ff{TRACEPARENT[2:]}",
        TRACEPARENT.upper(),
        TRACEPARENT.replace(TRACE, "0" * 32),
        f"{TRACEPARENT}x",
        f"{TRACEPARENT}-x",
    ],
)
def test_what_is_no_trace_is_ignored(client: falcon.testing.TestClient, given: str) -> None:
    assert "traceId" not in client.simulate_get("/none", headers={"traceparent": given}).json


def test_an_error_in_the_code_is_a_500_whose_id_leads_to_its_traceback_in_the_log(
    client: falcon.testing.TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer = client.simulate_get(PAYMENT)
    assert answer.status_code == 500
    assert "planted" not in answer.text
    assert lines(caplog, "request_id", "path", "method") == [
        ("a request failed", answer.json["requestId"], PAYMENT, "GET")
    ]
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert isinstance(record.msg, dict)
    assert str(record.msg["exc_info"]) == "planted"


def test_lines_of_a_request_bear_its_ids(client: falcon.testing.TestClient, caplog: pytest.LogCaptureFixture) -> None:
    headers = {"X-Request-ID": "abc", "traceparent": TRACEPARENT}
    assert client.simulate_get(PAYMENT, headers=headers).json["requestId"] == "abc"
    assert client.simulate_get(PAYMENT).status_code == 500
    assert lines(caplog, "trace_id") == [("a request failed", TRACE), ("a request failed", None)]


def test_what_is_unavailable_is_no_line(
    client: falcon.testing.TestClient, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FailingGateway, "planted", LedgerUnavailableError("planted"))
    answer = client.simulate_get(PAYMENT, headers={"X-Request-ID": "abc"})
    assert (answer.status_code, answer.json["requestId"]) == (503, "abc")
    assert json.loads(answer.text)["detail"] == "Postgres does not answer"
    assert caplog.records == []
