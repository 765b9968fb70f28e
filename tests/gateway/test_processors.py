"""`GET /processors` and `PUT /processors/{name}/breaker`, before a gateway in memory and before real actors."""

from collections.abc import Iterator

import falcon.testing
import msgpack
import pykka
import pytest

from actors.domain.breaker import BreakerState
from actors.domain.instant import iso_from_ms
from actors.domain.records import LastPurge
from actors.errors import GatewayUnavailableError
from actors.replica import Replica
from actors.system import System
from gateway.app import create_app
from tests.actors.fakes import NOW_MS, VirtualRuntime
from tests.actors.fakes_system import SETTINGS, MemoryOwnedJournal, memory_parts
from tests.gateway.fake_gateway import FakeGateway, client_of

BREAKER = "/processors/default/breaker"
PROBLEM = "application/problem+json"


@pytest.fixture
def permitted(gateway: FakeGateway) -> falcon.testing.TestClient:
    app = create_app(gateway, gateway, gateway, gateway, allow_purge=False, allow_force=True)
    return client_of(app)


def test_what_is_known_of_each_processor_is_told(client: falcon.testing.TestClient) -> None:
    answer = client.simulate_get("/processors")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    change = {"at": "2025-07-15T12:34:56.789Z", "from": "closed", "to": "open", "cause": "failure rate"}
    assert answer.json == {
        "default": {
            "charges": True,
            "breaker": {"state": "open", "changes": [change]},
            "underWay": 3,
            "limit": 12,
            "latencyMs": 12.3,
            "startsPerSecondMax": 450.5,
        },
        "fallback": {
            "charges": False,
            "breaker": {"state": "closed", "changes": []},
            "underWay": 0,
            "limit": 266,
            "latencyMs": None,
            "startsPerSecondMax": 800,
        },
    }


def test_the_same_is_told_in_messagepack(client: falcon.testing.TestClient) -> None:
    answer = client.simulate_get("/processors", headers={"Accept": "application/msgpack"})
    assert answer.headers["content-type"] == "application/msgpack"
    assert client.simulate_get("/processors").json == msgpack.unpackb(answer.content)


def test_processors_that_do_not_answer_are_not_guessed(client: falcon.testing.TestClient, gateway: FakeGateway) -> None:
    gateway.silent = ("processors",)
    answer = client.simulate_get("/processors")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("forced-open", BreakerState.FORCED_OPEN),
        ("forced-closed", BreakerState.FORCED_CLOSED),
        ("automatic", None),
    ],
)
@pytest.mark.parametrize("is_msgpack", [False, True])
def test_an_order_that_is_permitted_is_taken(
    permitted: falcon.testing.TestClient,
    gateway: FakeGateway,
    state: str,
    expected: BreakerState | None,
    *,
    is_msgpack: bool,
) -> None:
    order = {"state": state}
    answer = (
        permitted.simulate_put(BREAKER, body=msgpack.packb(order), headers={"Content-Type": "application/msgpack"})
        if is_msgpack
        else permitted.simulate_put(BREAKER, json=order)
    )
    assert (answer.status_code, answer.json) == (200, {"replicas": 2, "of": 3})
    assert [("default", expected)] == gateway.forced


def test_an_order_needs_permission(client: falcon.testing.TestClient, gateway: FakeGateway) -> None:
    answer = client.simulate_put(BREAKER, json={"state": "forced-open"})
    assert (answer.status_code, answer.headers["content-type"]) == (403, PROBLEM)
    assert "ALLOW_FORCE=1" in answer.json["detail"]
    assert gateway.forced == []


def test_an_unknown_processor_cannot_be_forced(permitted: falcon.testing.TestClient) -> None:
    answer = permitted.simulate_put("/processors/nobody/breaker", json={"state": "forced-open"})
    assert (answer.status_code, answer.headers["content-type"]) == (404, PROBLEM)
    assert (answer.json["title"], answer.json["detail"]) == ("Unknown processor", "there is no processor nobody")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        *((b'{"state": %s}' % state, "state") for state in (b'"open"', b'"closed"', b'""', b"null", b"1", b"[]")),
        *((body, "state") for body in (b"{}", b'{"State": "automatic"}')),
        (b'{"state": "automatic", "state": "forced-open"}', "state"),
        *((body, "body") for body in (b"", b"[]", b'"automatic"', b'{"state": "automatic"', b"\xff")),
        *((body, "body") for body in (b'{"state": "\xff"}', b'{"a": ' + b"[" * 10_000, b" " * 16_385)),
    ],
    ids=lambda value: repr(value[:30]),
)
def test_what_is_no_order_is_refused(
    permitted: falcon.testing.TestClient, gateway: FakeGateway, body: bytes, field: str
) -> None:
    answer = permitted.simulate_put(BREAKER, body=body)
    assert (413 if len(body) > 16_384 else 400, PROBLEM) == (answer.status_code, answer.headers["content-type"])
    assert field == answer.json["field"]
    assert gateway.forced == []


@pytest.mark.parametrize("body", [b"\x90", b"\x81\xa5state\xa4open", b"\x80", b"\xc1", b'{"state": "automatic"}'])
def test_what_is_no_order_in_messagepack_is_refused(
    permitted: falcon.testing.TestClient, gateway: FakeGateway, body: bytes
) -> None:
    answer = permitted.simulate_put(BREAKER, body=body, headers={"Content-Type": "application/msgpack"})
    assert (answer.status_code, answer.json["field"] in {"state", "body"}) == (400, True)
    assert gateway.forced == []


def test_an_order_of_another_type_is_refused(permitted: falcon.testing.TestClient) -> None:
    answer = permitted.simulate_put(BREAKER, body=b"state=automatic", headers={"Content-Type": "text/plain"})
    assert (answer.status_code, answer.json["field"]) == (415, "Content-Type")


def test_an_order_that_is_not_answered_may_be_given_again(
    permitted: falcon.testing.TestClient, gateway: FakeGateway
) -> None:
    gateway.error = GatewayUnavailableError("health does not answer")
    answer = permitted.simulate_put(BREAKER, json={"state": "forced-open"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


@pytest.fixture
def system() -> Iterator[System]:
    """A system in a time that stands still."""
    yield System(SETTINGS, memory_parts(VirtualRuntime()))
    pykka.ActorRegistry.stop_all()


@pytest.fixture
def replica(system: System) -> falcon.testing.TestClient:
    """The HTTP side of a replica whose actors are started by the test."""
    return client_of(
        create_app(
            Replica(system, pytest.fail),
            system.queries,
            system.resolutions,
            FakeGateway(),
            allow_purge=False,
            allow_force=True,
        )
    )


def start_actors(system: System) -> None:
    """Start health and the processors' actors."""
    wanted = (system.health, *system.processors.values())
    for child in system.children(MemoryOwnedJournal(), LastPurge(0, 0), lambda: None, lambda: None):
        if child.address in wanted:
            actor = child.make()
            actor.launch()
            child.address.bind(actor)


def states(replica: falcon.testing.TestClient) -> dict[str, str]:
    return {name: told["breaker"]["state"] for name, told in replica.simulate_get("/processors").json.items()}


def test_an_order_reaches_the_breaker_and_is_told_with_its_cause(
    system: System, replica: falcon.testing.TestClient
) -> None:
    start_actors(system)
    assert states(replica) == {"default": "closed", "fallback": "closed"}
    answer = replica.simulate_put(BREAKER, json={"state": "forced-open"})
    assert (answer.status_code, answer.json) == (200, {"replicas": 1, "of": 1})
    assert states(replica) == {"default": "forced-open", "fallback": "closed"}
    (change,) = replica.simulate_get("/processors").json["default"]["breaker"]["changes"]
    assert change == {"at": iso_from_ms(NOW_MS), "from": "closed", "to": "forced-open", "cause": "an operator"}
    assert replica.simulate_put(BREAKER, json={"state": "automatic"}).status_code == 200
    assert states(replica) == {"default": "half-open", "fallback": "closed"}


def test_real_actors_know_no_processor_of_another_name(system: System, replica: falcon.testing.TestClient) -> None:
    start_actors(system)
    assert replica.simulate_put("/processors/nobody/breaker", json={"state": "forced-open"}).status_code == 404


def test_before_its_actors_start_a_replica_takes_no_order(replica: falcon.testing.TestClient) -> None:
    assert replica.simulate_get("/processors").status_code == 503
    assert replica.simulate_put(BREAKER, json={"state": "forced-open"}).status_code == 503
