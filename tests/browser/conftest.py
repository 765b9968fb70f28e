"""A headless Chromium, and pages in it that must not complain."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from tests.browser.sites import ScriptedControls, ScriptedGateway, served

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""The first draws the same pages with half of the CPU."""
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for the tests of one file: while Playwright runs, its process can run no other event loop."""
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed (`apt install chromium-headless-shell`)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def expected() -> list[str]:
    """Parts of what the browser may write to the console as errors: a test that brings them about adds them."""
    return []


@pytest.fixture
def servers() -> Iterator[ExitStack]:
    """What a page asks; it ends after the page."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def page(browser: Browser, expected: list[str], servers: ExitStack) -> Iterator[Page]:  # noqa: ARG001  # it ends first
    """An empty page of a desktop's size, in UTC, that must not complain."""
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            complaints.append(message.text)

    context = browser.new_context(viewport={"width": 1280, "height": 900}, timezone_id="UTC", locale="en-GB")
    page = context.new_page()
    page.on("console", note)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert [each for each in complaints if not any(part in each for part in expected)] == []


@pytest.fixture
def gateway() -> ScriptedGateway:
    """A gateway that is run without controls."""
    return ScriptedGateway()


@pytest.fixture
def site(gateway: ScriptedGateway, servers: ExitStack) -> str:
    """The address of that gateway."""
    return servers.enter_context(served(gateway))


@pytest.fixture
def controls() -> ScriptedControls:
    """The controls of a gateway that is run by `ops/up`."""
    return ScriptedControls()


@pytest.fixture
def controls_url(controls: ScriptedControls, servers: ExitStack) -> str:
    """The address of these controls."""
    return servers.enter_context(served(controls))


@pytest.fixture
def controlled_gateway(controls_url: str) -> ScriptedGateway:
    """A gateway that tells its page of these controls."""
    gateway = ScriptedGateway(controls_url)
    gateway.status["controls"] = controls_url
    return gateway


@pytest.fixture
def controlled_site(controlled_gateway: ScriptedGateway, servers: ExitStack) -> str:
    """The address of the gateway that is run with controls."""
    return servers.enter_context(served(controlled_gateway))
