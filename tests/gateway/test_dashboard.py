import re

import falcon.testing
import pytest

from actors.domain.breaker import BreakerState
from gateway.dashboard import PAGE


def test_the_page_is_served_at_the_root(client: falcon.testing.TestClient) -> None:
    answer = client.simulate_get("/")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert PAGE.read_bytes() == answer.content
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_the_page_needs_nothing_from_elsewhere(client: falcon.testing.TestClient) -> None:
    text = client.simulate_get("/").text
    assert re.findall(r"https?://|<link(?! rel=\"icon\" href=\"data:,\")|src=|@import|url\(", text) == []


def test_all_that_the_page_asks_for_is_there(client: falcon.testing.TestClient) -> None:
    asked = set(re.findall(r"ask\([\"`](/[a-z-]+)", PAGE.read_text()))
    assert {"/metrics", "/payments-summary", "/processors", "/readyz"} == asked
    assert {200} == {client.simulate_get(path).status_code for path in asked}
    named = set(re.findall(r"fiel_[a-z_]+", PAGE.read_text()))
    assert named
    assert all(name in client.simulate_get("/metrics").text for name in named)


def test_the_page_keeps_other_currencies_out_of_its_totals() -> None:
    assert "const { currencies = {}, ...summary } = answer;" in PAGE.read_text()


@pytest.mark.parametrize("state", BreakerState)
def test_every_state_of_a_breaker_has_a_tone(state: BreakerState) -> None:
    (tones,) = re.findall(r"const TONES = \{(.*?)\};", PAGE.read_text(), re.DOTALL)
    assert state.value in re.findall(r"([a-z-]+)\"?: ", tones)


def test_all_that_the_page_reads_of_a_processor_is_told(client: falcon.testing.TestClient) -> None:
    (read,) = re.findall(r"function describeProcessor\(\{(.*?)\}\) \{", PAGE.read_text())
    told = client.simulate_get("/processors").json["default"]
    assert set(re.findall(r"[A-Za-z]+", read)) <= {*told, *told["breaker"]}
