"""The page of a chaos run opens from disk in a real browser, in light and dark, and axe finds nothing serious."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_appearance import SIZES, THEMES, serious_findings
from tests.ops.chaostest.broken_run import LOST, broken_run, page_of


@pytest.mark.parametrize("theme", THEMES)
def test_the_page_of_a_broken_run_is_readable_and_asks_for_nothing(page: Page, tmp_path: Path, theme: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    file = tmp_path / "run.html"
    file.write_text(page_of(broken_run()))
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    page.goto(file.as_uri())
    expect(page.locator(".verdict")).to_contain_text("Broken: 1 lost")
    expect(page.locator(f'details[id="{LOST}"]')).to_contain_text("charge ended: failed")
    page.get_by_text("2 faults by the second").click()
    expect(page.get_by_text("kill replica-1 from 1.1 s to 3.2 s").last).to_be_visible()
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    assert asked == [file.as_uri()]
    for size, viewport in SIZES.items():
        page.set_viewport_size(viewport)
        assert serious_findings(page) == [], size
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), size
