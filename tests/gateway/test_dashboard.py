import re

import falcon.testing
import pytest

from actors.domain.breaker import BreakerState
from actors.domain.records import PaymentState
from gateway.app import create_app
from gateway.dashboard import FOLDER
from tests.gateway.fake_gateway import FakeGateway

BYTES_MAX = 100_000
SCRIPTS = sorted(FOLDER.glob("*.js"))
OWN_SCRIPTS = [path for path in SCRIPTS if not path.name.startswith("uPlot")]
SERVED = ["/", *(f"/dashboard/{path.name}" for path in [*SCRIPTS, *FOLDER.glob("*.css"), *FOLDER.glob("*.txt")])]


def test_the_page_is_served_at_the_root(client: falcon.testing.TestClient) -> None:
    answer = client.simulate_get("/")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert (FOLDER / "index.html").read_bytes() == answer.content


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("main.js", "text/javascript"),
        ("style.css", "text/css; charset=utf-8"),
        ("uPlot.LICENSE.txt", "text/plain; charset=utf-8"),
    ],
)
def test_each_file_of_the_page_is_served_as_what_it_is(client: falcon.testing.TestClient, name: str, kind: str) -> None:
    answer = client.simulate_get(f"/dashboard/{name}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    assert (FOLDER / name).read_bytes() == answer.content
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", ["__init__.py", "nothing.js", "..%2Fapp.py", "%2E%2E"])
def test_no_other_file_is_served(client: falcon.testing.TestClient, name: str) -> None:
    assert client.simulate_get(f"/dashboard/{name}").status_code == 404


@pytest.mark.parametrize("path", SERVED)
def test_a_file_that_a_browser_has_is_not_sent_again(client: falcon.testing.TestClient, path: str) -> None:
    first = client.simulate_get(path)
    assert first.headers["cache-control"] == "no-cache"
    again = client.simulate_get(path, headers={"If-None-Match": f'"other", {first.headers["etag"]}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert client.simulate_get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_all_that_the_page_is_made_of_is_small(client: falcon.testing.TestClient) -> None:
    assert sum(len(client.simulate_get(path).content) for path in SERVED) <= BYTES_MAX


def test_the_page_needs_nothing_from_elsewhere(client: falcon.testing.TestClient) -> None:
    policy = client.simulate_get("/").headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'"} <= {*policy}
    assert not any("unsafe" in part for part in policy)
    named = re.findall(r"(?:href|src)=\"(?!data:,)([^\"]+)\"", client.simulate_get("/").text)
    assert len(named) == 5
    assert {200} == {client.simulate_get(f"/{name}").status_code for name in named}
    for path in [*OWN_SCRIPTS, FOLDER / "style.css"]:
        assert re.findall(r"https?://|@import|url\(", path.read_text()) == []


def test_the_page_may_ask_the_controls_where_there_are_any(gateway: FakeGateway) -> None:
    controls = "http://127.0.0.1:9990"
    app = create_app(gateway, gateway, gateway, gateway, allow_purge=False, allow_force=False, controls_url=controls)
    policy = falcon.testing.TestClient(app).simulate_get("/").headers["content-security-policy"]
    assert f"connect-src 'self' {controls};" in policy


def test_every_module_is_imported_by_a_name_that_is_there() -> None:
    imported = {name for path in OWN_SCRIPTS for name in re.findall(r"\"\./([^\"]+)\"", path.read_text())}
    assert imported | {"main.js"} == {path.name for path in OWN_SCRIPTS}


@pytest.mark.parametrize("state", BreakerState)
def test_every_state_of_a_breaker_has_a_tone(state: BreakerState) -> None:
    (tones,) = re.findall(r"const TONES = \{(.*?)\};", (FOLDER / "cards.js").read_text(), re.DOTALL)
    assert state.value in re.findall(r"([a-z-]+)\"?: ", tones)


@pytest.mark.parametrize("state", PaymentState)
def test_every_state_of_a_payment_has_a_tone(state: PaymentState) -> None:
    (tones,) = re.findall(r"const TONES = \{(.*?)\};", (FOLDER / "payments.js").read_text(), re.DOTALL)
    assert state.value in re.findall(r"([a-z-]+)\"?: ", tones)
