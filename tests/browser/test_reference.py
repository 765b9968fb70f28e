"""The page at `/docs`, in a real browser."""

from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from gateway.app import create_app
from gateway.openapi.document import ALL_OPERATIONS
from tests.browser.sites import served
from tests.gateway.fake_gateway import FakeGateway

LOAD_MS_MAX = 30_000
"""Scalar is large, and machines are slow at times."""


@pytest.fixture
def gateway_of_docs() -> FakeGateway:
    """What the page's requests reach."""
    return FakeGateway()


@pytest.fixture
def docs(gateway_of_docs: FakeGateway, servers: ExitStack) -> str:
    """The address of the page."""
    gateway = gateway_of_docs
    app = create_app(gateway, gateway, gateway, gateway, allow_purge=False, allow_force=False)
    return f"{servers.enter_context(served(app))}/docs"


def test_the_page_shows_the_api_and_tries_it_and_asks_nobody_else(
    page: Page, docs: str, gateway_of_docs: FakeGateway
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.set_default_timeout(LOAD_MS_MAX)
    page.goto(f"{docs}#tag/summaries/GET/payments-summary")
    sidebar = page.get_by_role("complementary", name="Sidebar for Fiel")
    for tag in {operation.tag for operation in ALL_OPERATIONS}:
        # What is scrolled out of sight is not made yet.
        expect(sidebar.get_by_role("link", name=tag, exact=True)).to_be_visible(timeout=LOAD_MS_MAX)
    page.get_by_role("button", name="Test Request (get /payments-summary)").click()
    client = page.get_by_role("dialog")
    client.get_by_role("button", name="Send").first.click()
    expect(client).to_contain_text("totalRequests", timeout=LOAD_MS_MAX)
    expect(client).to_contain_text("200 OK")
    assert len(gateway_of_docs.asked) == 1
    hosts = {urlsplit(url).netloc for url in asked if not url.startswith(("data:", "blob:"))}
    assert hosts == {urlsplit(docs).netloc}
