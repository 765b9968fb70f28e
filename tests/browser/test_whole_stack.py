"""A visitor of `ops/up` tries the gateway out by clicking, and the page tells the truth about it."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from ops.chaostest.client import administer
from ops.stack.settings import StackOptions
from ops.stack.stack import Stack
from tests.ops.controls.test_controls import asking, watched
from tests.waiting import wait_until

pytestmark = pytest.mark.long

WAIT_MS = 30_000
PATIENCE_MS = 4000
ID = "4a7901b8-7d26-4d9d-aa19-4dc1c7cf60b3"
PICTURES = Path(__file__).parents[2] / "docs" / "pictures"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    environment = {"OUTAGE_PATIENCE_MS": str(PATIENCE_MS)}
    with watched(StackOptions.on_reserved_ports(tmp_path_factory.mktemp("stack"), environment)) as running:
        yield running


def picture(page: Page, name: str) -> None:
    """Take a picture for the documents, where that is wanted."""
    if os.environ.get("FIEL_PICTURES"):
        page.screenshot(path=PICTURES / f"{name}.png")


def button(page: Page, group: str, name: str) -> Locator:
    return page.get_by_role("group", name=f"Controls of {group}").get_by_role("button", name=name)


def booked(stack: Stack) -> dict[str, tuple[int, float]]:
    """What each processor's own books say: charges, and their amount."""
    found = {}
    for name, port in zip(("default", "fallback"), stack.options.admin_ports, strict=True):
        totals = json.loads(administer(f"http://127.0.0.1:{port}", "GET", "/admin/payments-summary"))
        found[name] = (totals["totalRequests"], float(totals["totalAmount"]))
    return found


def shown(page: Page) -> dict[str, tuple[int, float]]:
    """What the page says of each processor: charges, and their amount."""
    rows = page.locator("#money tbody tr").all_inner_texts()
    cells = [row.replace(",", "").split("\t") for row in rows]
    return {name.strip(): (int(requests), float(amount)) for name, requests, amount, _ in cells}


def test_an_outage_and_a_death_are_followed_by_clicking_and_the_numbers_are_those_of_the_books(
    page: Page, stack: Stack
) -> None:
    page.goto(f"http://localhost:{stack.options.port}/")
    story = page.locator("#story")
    page.get_by_role("button", name="100", exact=True).click()
    expect(story).to_contain_text(re.compile(r"all is well: 3 replicas settle \d+ payments a second"), timeout=WAIT_MS)
    expect(page.locator("#header")).to_have_class("good")

    button(page, "default", "Pull the plug").click()
    waited_for = re.compile(r"default is down for \S+ s: \d+ wait for it, fallback in")
    expect(story).to_contain_text(waited_for, timeout=WAIT_MS)
    expect(page.locator("#header")).to_have_class("warn")
    picture(page, "page-waiting")
    expect(story).to_contain_text(re.compile(r"default is down for \S+ s: fallback charges"), timeout=WAIT_MS)
    picture(page, "page-switched")

    page.get_by_role("button", name="Kill 2").click()
    expect(page.locator("#events")).to_contain_text("replica 2 started again", timeout=WAIT_MS)
    page.locator("#events").scroll_into_view_if_needed()
    picture(page, "page-killed")

    button(page, "default", "Pull the plug").click()
    expect(story).to_contain_text("all is well", timeout=WAIT_MS)
    expect(page.locator("#events")).to_contain_text("the breaker of default closed")
    picture(page, "page-recovered")

    page.get_by_role("button", name="Stop").click()
    expect(story).to_contain_text("no payments now", timeout=WAIT_MS)
    wait_until(lambda: shown(page) == booked(stack), lambda: f"{shown(page)}, {booked(stack)}")
    page.reload()
    expect(page.locator("#events")).to_contain_text("the breaker of default opened", timeout=WAIT_MS)


def test_a_payment_is_found_by_its_id_with_its_whole_history(page: Page, stack: Stack) -> None:
    ask = asking(stack)
    for name in ("default", "fallback"):
        assert ask("PUT", f"/processors/{name}", {"failureShare": 1.0}).status == 200
    page.goto(f"http://localhost:{stack.options.port}/")
    posted = page.request.post(
        f"http://localhost:{stack.options.port}/payments", data={"correlationId": ID, "amount": 19.9}
    )
    assert posted.status == 202
    page.get_by_label("Its id").fill(ID)
    find_until(page, "charge ended: failed")
    for name in ("default", "fallback"):
        assert ask("PUT", f"/processors/{name}", {"failureShare": 0.0}).status == 200
    find_until(page, "settled: its charge is recorded")
    for step in ("accepted: it is in a journal", "claimed: its row is committed", "charged under this instant"):
        expect(page.locator("#found")).to_contain_text(step)


def find_until(page: Page, step: str) -> None:
    """Find the payment again and again until it has taken this step."""

    def is_there() -> bool:
        page.get_by_role("button", name="Find").click()
        expect(page.locator("#found")).to_contain_text("accepted: it is in a journal", timeout=WAIT_MS)
        return step in page.locator("#found").inner_text()

    wait_until(is_there, lambda: page.locator("#found").inner_text())


def test_without_controls_there_are_no_controls(page: Page, servers: ExitStack, tmp_path: Path) -> None:
    options = replace(StackOptions.on_reserved_ports(tmp_path), controls=False)
    servers.enter_context(Stack(options))
    page.goto(f"http://localhost:{options.port}/")
    expect(page.locator("#story")).to_contain_text("all is well", timeout=WAIT_MS)
    expect(page.get_by_role("region", name="Controls")).to_have_count(0)
