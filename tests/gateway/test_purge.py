import falcon.testing

from gateway.app import create_app
from tests.gateway.fake_gateway import FakeGateway, client_of


def test_a_purge_needs_permission(client: falcon.testing.TestClient, gateway: FakeGateway) -> None:
    answer = client.simulate_post("/purge-payments")
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")
    assert "ALLOW_PURGE=1" in answer.json["detail"]
    assert gateway.purges == 0


def test_a_purge_that_is_permitted_is_made(gateway: FakeGateway) -> None:
    app = create_app(gateway, gateway, gateway, gateway, allow_purge=True, allow_force=False)
    permitted = client_of(app)
    answer = permitted.simulate_post("/purge-payments", body=b"whatever")
    assert (answer.status_code, answer.content, gateway.purges) == (204, b"", 1)
