import re
from pathlib import Path

import falcon.testing
import pytest

from gateway import app
from tests.gateway.fake_gateway import FakeGateway

ROUTES = re.findall(r'app\.add_route\("([^"]+)"', Path(app.__file__).read_text())
PATHS = [
    route.replace("{correlation_id}", "c56a4180-65aa-42ec-a945-5fd21dec0538").replace(
        "{name}", "not-found" if "problems" in route else "default"
    )
    for route in ROUTES
]


@pytest.mark.parametrize("path", [*PATHS, "/payments?state=settled", "/nowhere"])
def test_head_is_answered_like_get_without_the_body(client: falcon.testing.TestClient, path: str) -> None:
    get, head = client.simulate_get(path), client.simulate_head(path)
    assert (head.status, head.content) == (get.status, b"")
    assert "content-length" in head.headers
    # The process has used more CPU at the second of two scrapes, and its figures may have more digits.
    varying = {"content-length"} if path == "/metrics" else set[str]()
    assert head.headers.keys() == get.headers.keys()
    assert head.headers.items() - get.headers.items() <= {(name, head.headers[name]) for name in varying}


@pytest.mark.parametrize("path", PATHS)
def test_options_and_405_tell_the_same_methods_and_each_of_them_is_taken(
    client: falcon.testing.TestClient, path: str
) -> None:
    options, refused = client.simulate_options(path), client.simulate_delete(path)
    assert (options.status_code, options.content, refused.status_code) == (204, b"", 405)
    assert options.headers["allow"] == refused.headers["allow"]
    allowed = {*options.headers["allow"].split(", ")}
    assert "OPTIONS" in allowed
    assert ("HEAD" in allowed) == ("GET" in allowed)
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE"):
        taken = client.simulate_request(method, path).status_code != 405
        assert (method, taken) == (method, method in allowed)


def test_options_of_no_path_is_not_found(client: falcon.testing.TestClient) -> None:
    assert client.simulate_options("/nowhere").status_code == 404


def test_every_route_is_asked() -> None:
    assert len(PATHS) > 10


def test_head_posts_nothing(client: falcon.testing.TestClient, gateway: FakeGateway) -> None:
    assert client.simulate_head("/purge-payments").status_code == 405
    assert gateway.kept == {}
