import re

import falcon.testing

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
    assert {"/metrics", "/payments-summary", "/readyz"} == asked
    assert {200} == {client.simulate_get(path).status_code for path in asked}
    named = set(re.findall(r"fiel_[a-z_]+", PAGE.read_text()))
    assert named
    assert all(name in client.simulate_get("/metrics").text for name in named)
