"""Each scene in light and dark, on a desktop and a phone: nothing overflows, axe finds nothing serious."""

from itertools import product
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, ViewportSize, expect

from tests.browser.scenes import SCENES, UNKNOWN_ID, crowded, unknown_payment
from tests.browser.sites import ScriptedControls, ScriptedGateway

pytestmark = pytest.mark.long

THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
SIZES = {"desktop": ViewportSize(width=1280, height=900), "phone": ViewportSize(width=375, height=812)}
CHARTS_FIT = """() => [...document.querySelectorAll(".plot")].every(
    (plot) => Math.abs(plot.clientWidth - plot.firstChild.clientWidth) <= 1
)"""
SERIOUS = {"serious", "critical"}

OVERFLOWING = """() => [...document.body.querySelectorAll("*")].filter((element) => {
    const { overflowX, display, clipPath } = getComputedStyle(element);
    if (clipPath !== "none" || element.closest(".u-wrap, option, .unseen")) return false;
    if (element.getBoundingClientRect().right > innerWidth + 0.5) return true;
    if (overflowX !== "visible" || display === "inline" || !element.clientWidth) return false;
    return element.scrollWidth > element.clientWidth + 1;
}).map((element) => `${element.tagName} ${element.className} ${element.textContent.slice(0, 60)}`)"""


@pytest.mark.parametrize("scene", SCENES)
def test_a_scene_is_readable_everywhere(
    page: Page, controlled_site: str, controlled_gateway: ScriptedGateway, controls: ScriptedControls, scene: str
) -> None:
    controlled_gateway.status = SCENES[scene]() | {"controls": controlled_gateway.status["controls"]}
    if scene not in {"rest", "unknown"}:
        controls.state["load"] |= {"rate": 300, "sent": 987_654, "accepted": 987_600, "failed": 54}
    controls.state["processors"]["default"]["plug"] = scene not in {"down", "switched", "crowded"}
    controls.state["replicas"]["2"] = "starting" if scene == "killed" else "running"
    controlled_gateway.payments[UNKNOWN_ID] = unknown_payment()
    page.goto(f"{controlled_site}/#{UNKNOWN_ID}" if scene == "unknown" else controlled_site)
    expect(page.get_by_role("button", name="Pull the plug")).to_have_count(2)
    if scene == "unknown":
        expect(page.locator("#found .history li")).to_have_count(6)
    for theme, (size, viewport) in product(THEMES, SIZES.items()):
        page.emulate_media(color_scheme=theme)
        page.set_viewport_size(viewport)
        page.wait_for_function(CHARTS_FIT)
        assert page.evaluate(OVERFLOWING) == [], (theme, size)
        if scene in {"crowded", "unknown"}:
            assert serious_findings(page) == [], (theme, size)


def test_what_is_old_is_readable_too(page: Page, site: str, gateway: ScriptedGateway, expected: list[str]) -> None:
    gateway.status = crowded()
    page.goto(site)
    expect(page.locator("#processors article")).to_have_count(4)
    expected.append("503")
    gateway.failing = True
    expect(page.locator("main")).to_have_class("stale")
    for theme in THEMES:
        page.emulate_media(color_scheme=theme)
        assert serious_findings(page) == []


def serious_findings(page: Page) -> list[str]:
    """Give what axe finds of the page that keeps people from using it."""
    return [
        f"{finding['id']}: {node['html'][:120]}"
        for finding in Axe().run(page).response["violations"]
        if finding["impact"] in SERIOUS
        for node in finding["nodes"]
    ]
