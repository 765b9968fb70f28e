import falcon.testing
import pytest

from gateway.app import create_app
from tests.gateway.fake_gateway import FakeGateway, client_of


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway()


@pytest.fixture
def client(gateway: FakeGateway) -> falcon.testing.TestClient:
    app = create_app(gateway, gateway, gateway, gateway, allow_purge=False, allow_force=False)
    return client_of(app)
