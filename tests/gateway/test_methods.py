import re
from pathlib import Path

import falcon.testing
import pytest

from gateway import app
from tests.gateway.fake_gateway import FakeGateway

ROUTES = re.findall(r'app\.add_route\("([^"]+)"', Path(app.__file__).read_text())
PATHS = [
    route.replace("{correlation_id}", "c56a4180-65aa-42ec-a945-5fd21dec0538").replace("{name}", "default")
    for route in ROUTES
]


@pytest.mark.parametrize("path", [*PATHS, "/payments?state=settled", "/nowhere"])
def test_head_is_answered_like_get_without_the_body(client: falcon.testing.TestClient, path: str) -> None:
    get, head = client.simulate_get(path), client.simulate_head(path)
    assert (head.status, head.content) == (get.status, b"")
    assert {**head.headers} == {**get.headers}
    assert "content-length" in head.headers


def test_every_route_is_asked() -> None:
    assert len(PATHS) > 10


def test_head_posts_nothing(client: falcon.testing.TestClient, gateway: FakeGateway) -> None:
    assert client.simulate_head("/purge-payments").status_code == 405
    assert gateway.kept == {}
