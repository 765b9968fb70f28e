import falcon.testing
import msgpack
import pytest

from actors.readiness import Readiness
from tests.gateway.fake_gateway import FakeGateway


def test_a_process_lives_while_all_its_actors_do(client: falcon.testing.TestClient) -> None:
    answer = client.simulate_get("/livez")
    assert (answer.status_code, answer.json) == (200, {"status": "ok", "deadActors": []})


def test_a_process_with_a_dead_actor_fails(client: falcon.testing.TestClient, gateway: FakeGateway) -> None:
    gateway.dead = ("router",)
    answer = client.simulate_get("/livez")
    assert (answer.status_code, answer.json) == (503, {"status": "failing", "deadActors": ["router"]})


@pytest.mark.parametrize(
    ("readiness", "code", "status"),
    [
        (Readiness(ready=True, parts={"journal": "ok", "postgres": "ok"}), 200, "ready"),
        (Readiness(ready=True, parts={"journal": "ok", "postgres": "refused"}), 200, "degraded"),
        (Readiness(ready=False, parts={"journal": "disk full", "postgres": "ok"}), 503, "unready"),
        (Readiness(ready=False, parts={"journal": "ok", "gateway": "draining"}), 503, "unready"),
    ],
)
def test_readiness_tells_every_part(
    client: falcon.testing.TestClient, gateway: FakeGateway, readiness: Readiness, code: int, status: str
) -> None:
    gateway.ready = readiness
    expected = {"status": status, "parts": readiness.parts}
    answer = client.simulate_get("/readyz")
    assert (code, expected) == (answer.status_code, answer.json)
    packed = client.simulate_get("/readyz", headers={"Accept": "application/msgpack"})
    assert (code, expected) == (packed.status_code, msgpack.unpackb(packed.content))
