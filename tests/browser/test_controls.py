import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.sites import ScriptedControls, ScriptedGateway


def controls_of(page: Page, name: str) -> Locator:
    return page.get_by_role("group", name=f"Controls of {name}")


def test_without_controls_the_page_has_none_and_does_not_even_load_them(
    page: Page, site: str, gateway: ScriptedGateway
) -> None:
    page.goto(site)
    expect(page.locator("#processors article")).to_have_count(2)
    assert page.locator("#controls").evaluate("(controls) => controls.childNodes.length") == 0
    assert gateway.asked.like("GET /dashboard/controls.js") == []
    expect(page.get_by_role("region", name="Controls")).to_have_count(0)


def test_a_load_is_ordered_by_a_click(page: Page, controlled_site: str, controls: ScriptedControls) -> None:
    page.goto(controlled_site)
    page.get_by_role("button", name="300", exact=True).click()
    assert controls.asked.wait("PUT /load") == [("PUT /load", {"rate": 300})]
    expect(page.get_by_role("button", name="300", exact=True)).to_have_attribute("aria-pressed", "true")
    expect(page.locator("output")).to_have_text("300 payments a second")
    page.get_by_role("button", name="Stop").click()
    assert controls.asked.wait("PUT /load", times=2)[1] == ("PUT /load", {"rate": 0})


def test_a_load_is_ordered_by_the_keyboard(page: Page, controlled_site: str, controls: ScriptedControls) -> None:
    page.goto(controlled_site)
    page.get_by_role("slider", name="Load").focus()
    page.keyboard.press("End")
    assert controls.asked.wait("PUT /load") == [("PUT /load", {"rate": 500})]


def test_what_was_sent_is_told(page: Page, controlled_site: str, controls: ScriptedControls) -> None:
    controls.state["load"] |= {"rate": 500, "sent": 123_456, "accepted": 123_450, "failed": 6}
    page.goto(controlled_site)
    expect(page.locator("#controls")).to_contain_text("123,456 sent, 123,450 accepted, 6 failed")


def test_a_processor_is_unplugged_and_plugged_in_again(
    page: Page, controlled_site: str, controls: ScriptedControls
) -> None:
    page.goto(controlled_site)
    plug = controls_of(page, "default").get_by_role("button", name="Pull the plug")
    plug.click()
    expect(controls_of(page, "default")).to_contain_text("unplugged")
    expect(plug).to_have_attribute("aria-pressed", "true")
    plug.click()
    expect(controls_of(page, "default")).to_contain_text("plugged in")
    orders = controls.asked.wait("PUT /processors", times=2)
    assert orders == [("PUT /processors/default", {"plug": False}), ("PUT /processors/default", {"plug": True})]


@pytest.mark.parametrize(("button", "order"), [("Delay 1 s", {"delayMs": 1000}), ("Fail 40 %", {"failureShare": 0.4})])
def test_a_processor_is_made_slow_or_faulty(
    page: Page, controlled_site: str, controls: ScriptedControls, button: str, order: dict[str, float]
) -> None:
    page.goto(controlled_site)
    controls_of(page, "fallback").get_by_role("button", name=button).press("Enter")
    assert controls.asked.wait("PUT /processors") == [("PUT /processors/fallback", order)]
    controls_of(page, "fallback").get_by_role("button", name=button).and_(page.locator("[aria-pressed=true]")).click()
    assert controls.asked.wait("PUT /processors", times=2)[1][1] == dict.fromkeys(order, 0)


def test_a_breaker_is_forced_and_freed_again(
    page: Page, controlled_site: str, controls: ScriptedControls, controlled_gateway: ScriptedGateway
) -> None:
    page.goto(controlled_site)
    controls_of(page, "default").get_by_role("button", name="Force open").click()
    assert controls.asked.wait("PUT /breakers") == [("PUT /breakers/default", {"state": "forced-open"})]
    controlled_gateway.status["processors"]["default"]["breaker"]["state"] = "forced-open"
    controls_of(page, "default").get_by_role("button", name="Force open").and_(
        page.locator("[aria-pressed=true]")
    ).click()
    assert controls.asked.wait("PUT /breakers", times=2)[1][1] == {"state": "automatic"}


def test_no_breaker_is_forced_where_that_is_not_allowed(
    page: Page, controlled_site: str, controlled_gateway: ScriptedGateway
) -> None:
    controlled_gateway.status["allowed"]["force"] = False
    page.goto(controlled_site)
    expect(page.get_by_role("button", name="Pull the plug")).to_have_count(2)
    expect(page.get_by_role("button", name="Force open")).to_have_count(0)


def test_a_replica_is_killed_once(page: Page, controlled_site: str, controls: ScriptedControls) -> None:
    page.goto(controlled_site)
    page.get_by_role("button", name="Kill 2").click()
    expect(page.get_by_role("button", name="2 is killed")).to_be_disabled()
    assert [request for request, _ in controls.asked.like("POST")] == ["POST /replicas/2/kill"]
    controls.state["replicas"]["2"] = "running"
    expect(page.get_by_role("button", name="Kill 2")).to_be_enabled()


def test_an_order_that_is_refused_is_told(
    page: Page, controlled_site: str, controls: ScriptedControls, expected: list[str]
) -> None:
    expected.append("422")
    controls.refusal = "rate must be at most 500"
    page.goto(controlled_site)
    page.get_by_role("button", name="500", exact=True).click()
    expect(page.locator("#controls .bad")).to_have_text("The order was not carried out: 422: rate must be at most 500")


def test_the_focus_stays_on_a_button_whose_state_changes(
    page: Page, controlled_site: str, controls: ScriptedControls
) -> None:
    page.goto(controlled_site)
    plug = controls_of(page, "default").get_by_role("button", name="Pull the plug")
    plug.press("Enter")
    controls.asked.wait("PUT /processors")
    expect(plug).to_have_attribute("aria-pressed", "true")
    expect(plug).to_be_focused()


def test_a_processor_that_is_not_simulated_can_only_be_forced(
    page: Page, controlled_site: str, controls: ScriptedControls
) -> None:
    del controls.state["processors"]["fallback"]
    page.goto(controlled_site)
    expect(controls_of(page, "fallback")).to_contain_text("not simulated")
    expect(controls_of(page, "fallback").get_by_role("button")).to_have_text(["Force open", "Force closed"])
