"""`GET /status` tells how all replicas are, in one answer."""

from dataclasses import replace

import falcon.testing
import pytest

from actors.domain.happenings import Happening
from actors.domain.money import Money
from actors.domain.records import ProcessorTotal
from actors.domain.replica_status import HealthTold, HeardStatus
from actors.domain.seconds import Series
from actors.domain.story import Story
from actors.errors import GatewayUnavailableError
from actors.overview import Look
from gateway.app import create_app
from tests.actors.watching import DOWN, NOW_MS, WORKING, changed
from tests.gateway.fake_gateway import FakeGateway, client_of

AT = "2025-06-15T15:06:40.000Z"
HEALTH = HealthTold(failing=True, response_time_s_min=0.1, at_ms=NOW_MS)
TOTALS = (
    ProcessorTotal("default", 2, Money(2000, "BRL")),
    ProcessorTotal("fallback", 1, Money(1000, "BRL")),
    ProcessorTotal("gone", 1, Money(3, "JPY")),
)


@pytest.fixture
def gateway() -> FakeGateway:
    gateway = FakeGateway()
    down, probing = replace(DOWN, under_way=2, health=HEALTH), replace(DOWN, state="half-open", latency_s=0.03)
    gateway.seen = Look(
        (
            HeardStatus(
                changed(replica="1", processors={"default": down, "fallback": WORKING}, waiting={"held": 4}), 0.2
            ),
            HeardStatus(changed(replica="2", processors={"default": down}, waiting={"held": 1, "charging": 2}), 0.4),
            HeardStatus(changed(replica="3", processors={"default": probing}, waiting={"held": 1}), 0.4),
            HeardStatus(changed(replica="4", processors={"default": WORKING}, waiting={"held": 99}), 30.04),
        ),
        (Happening(NOW_MS, "2", "breaker", "bad", "the breaker of default opened"),),
        TOTALS,
        Story("warn", "default is down"),
        None,
    )
    return gateway


def status(client: falcon.testing.TestClient, query: str = "") -> dict[str, object]:
    answer = client.simulate_get("/status", query_string=query)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    told: dict[str, object] = answer.json
    return told


def test_what_all_living_replicas_know_of_a_processor_is_joined(client: falcon.testing.TestClient) -> None:
    processors = status(client)["processors"]
    assert isinstance(processors, dict)
    assert processors["default"] == {
        "charges": True,
        "fee": 0.05,
        "breaker": {
            "state": "open",
            "since": "2025-06-15T15:06:35.800Z",
            "cause": "failure rate",
            "byReplica": {"1": "open", "2": "open", "3": "half-open"},
        },
        "underWay": 4,
        "limit": 300,
        "failureRate": 0.9,
        "slowRate": 0.0,
        "latencyMs": 16.7,
        "health": {"failing": True, "minResponseMs": 100, "at": AT},
    }


def test_counts_are_those_of_the_living_and_silent_ones_are_shown(client: falcon.testing.TestClient) -> None:
    told = status(client)
    assert told["waiting"] == {"held": 6, "charging": 2}
    replicas = told["replicas"]
    assert isinstance(replicas, dict)
    assert [each["silentForS"] for each in replicas.values()] == [0.2, 0.4, 0.4, 30.0]
    assert replicas["1"] == {
        "silentForS": 0.2,
        "upS": 65.0,
        "leased": True,
        "waiting": 4,
        "journalBytes": 4096,
        "memoryMb": 65.0,
        "memoryMaxMb": None,
        "version": "0.1.0",
        "readiness": "ready",
        "answersPerS": 0.0,
    }


def test_money_and_fees_are_told_by_currency(client: falcon.testing.TestClient) -> None:
    told = status(client)
    assert told["money"] == {
        "BRL": {
            "default": {"requests": 2, "amount": 20.0, "fees": 1},
            "fallback": {"requests": 1, "amount": 10.0, "fees": 1.5},
        },
        "JPY": {"gone": {"requests": 1, "amount": 3, "fees": 0}},
    }
    assert (told["feesPaid"], told["feesCheapest"]) == ({"BRL": 2.5, "JPY": 0}, {"BRL": 1.5, "JPY": 0.15})


def test_without_postgres_money_is_not_known(client: falcon.testing.TestClient, gateway: FakeGateway) -> None:
    gateway.seen = replace(gateway.seen, totals=None)
    told = status(client)
    assert (told["money"], told["feesPaid"]) == (None, None)


def test_the_story_the_events_and_what_is_allowed_are_told(
    client: falcon.testing.TestClient, gateway: FakeGateway
) -> None:
    told = status(client)
    assert told["story"] == {"tone": "warn", "text": "default is down"}
    assert told["events"] == [
        {"at": AT, "replica": "2", "kind": "breaker", "tone": "bad", "text": "the breaker of default opened"}
    ]
    assert (told["at"], told["replica"], told["allowed"], told["controls"]) == (
        AT,
        "1",
        {"resolve": True, "force": False},
        None,
    )
    app = create_app(
        gateway, gateway, gateway, gateway, allow_purge=False, allow_force=True, controls_url="http://127.0.0.1:9"
    )
    assert status(client_of(app))["controls"] == "http://127.0.0.1:9"


def test_history_is_told_after_the_second_that_is_known(
    client: falcon.testing.TestClient, gateway: FakeGateway
) -> None:
    quantiles_ms: dict[float, list[float | None]] = {0.5: [1.5], 0.99: [2.5]}
    gateway.last_seconds = Series(7, [1], [2], {"default": [1]}, {"default": [9.5]}, {"default": [0]}, quantiles_ms)
    assert status(client, "after=6")["history"] == {
        "from": 7,
        "accepted": [1],
        "settled": {"default": [1]},
        "waiting": [2],
        "p50Ms": [1.5],
        "p99Ms": [2.5],
        "latencyMs": {"default": [9.5]},
        "down": {"default": [0]},
    }
    assert gateway.series_asked == [(("default", "fallback"), 6)]
    assert client.simulate_get("/status", query_string="after=x").status_code == 400


def test_without_redis_the_parts_say_so(client: falcon.testing.TestClient, gateway: FakeGateway) -> None:
    gateway.seen = replace(gateway.seen, trouble="Redis: gone")
    parts = status(client)["parts"]
    assert isinstance(parts, dict)
    assert parts["redis"] == "Redis: gone"


def test_a_replica_that_cannot_tell_answers_503(client: falcon.testing.TestClient, gateway: FakeGateway) -> None:
    gateway.error = GatewayUnavailableError("planted")
    assert client.simulate_get("/status").status_code == 503


def test_viewers_on_other_machines_are_offered_nothing_that_is_for_this_one(gateway: FakeGateway) -> None:
    app = create_app(
        gateway, gateway, gateway, gateway, allow_purge=False, allow_force=True, controls_url="http://127.0.0.1:9"
    )
    told = client_of(app).simulate_get("/status", remote_addr="192.0.2.7").json
    assert (told["controls"], told["allowed"]) == (None, {"resolve": False, "force": False})
