import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.sites import ScriptedGateway, ScriptedHands


def hands_on(page: Page, name: str) -> Locator:
    return page.get_by_role("group", name=f"Hands on {name}")


def test_without_hands_the_page_has_none_and_does_not_even_load_them(
    page: Page, site: str, gateway: ScriptedGateway
) -> None:
    page.goto(site)
    expect(page.locator("#processors article")).to_have_count(2)
    assert page.locator("#hands").evaluate("(hands) => hands.childNodes.length") == 0
    assert gateway.asked.like("GET /dashboard/hands.js") == []
    expect(page.get_by_text("Hands on")).to_have_count(0)


def test_a_load_is_ordered_by_a_click(page: Page, handed_site: str, hands: ScriptedHands) -> None:
    page.goto(handed_site)
    page.get_by_role("button", name="300", exact=True).click()
    assert hands.asked.wait("PUT /load") == [("PUT /load", {"rate": 300})]
    expect(page.get_by_role("button", name="300", exact=True)).to_have_attribute("aria-pressed", "true")
    expect(page.locator("output")).to_have_text("300 payments a second")
    page.get_by_role("button", name="Stop").click()
    assert hands.asked.wait("PUT /load", times=2)[1] == ("PUT /load", {"rate": 0})


def test_a_load_is_ordered_by_the_keyboard(page: Page, handed_site: str, hands: ScriptedHands) -> None:
    page.goto(handed_site)
    page.get_by_role("slider", name="Load").focus()
    page.keyboard.press("End")
    assert hands.asked.wait("PUT /load") == [("PUT /load", {"rate": 500})]


def test_what_was_sent_is_told(page: Page, handed_site: str, hands: ScriptedHands) -> None:
    hands.state["load"] |= {"rate": 500, "sent": 123_456, "accepted": 123_450, "failed": 6}
    page.goto(handed_site)
    expect(page.locator("#hands")).to_contain_text("123,456 sent, 123,450 accepted, 6 failed")


def test_a_processor_is_unplugged_and_plugged_in_again(page: Page, handed_site: str, hands: ScriptedHands) -> None:
    page.goto(handed_site)
    plug = hands_on(page, "default").get_by_role("button", name="Pull the plug")
    plug.click()
    expect(hands_on(page, "default")).to_contain_text("unplugged")
    expect(plug).to_have_attribute("aria-pressed", "true")
    plug.click()
    expect(hands_on(page, "default")).to_contain_text("plugged in")
    orders = hands.asked.wait("PUT /processors", times=2)
    assert orders == [("PUT /processors/default", {"plug": False}), ("PUT /processors/default", {"plug": True})]


@pytest.mark.parametrize(("button", "order"), [("Delay 1 s", {"delayMs": 1000}), ("Fail 40 %", {"failureShare": 0.4})])
def test_a_processor_is_made_slow_or_faulty(
    page: Page, handed_site: str, hands: ScriptedHands, button: str, order: dict[str, float]
) -> None:
    page.goto(handed_site)
    hands_on(page, "fallback").get_by_role("button", name=button).press("Enter")
    assert hands.asked.wait("PUT /processors") == [("PUT /processors/fallback", order)]
    hands_on(page, "fallback").get_by_role("button", name=button).and_(page.locator("[aria-pressed=true]")).click()
    assert hands.asked.wait("PUT /processors", times=2)[1][1] == dict.fromkeys(order, 0)


def test_a_breaker_is_forced_and_freed_again(
    page: Page, handed_site: str, hands: ScriptedHands, handed_gateway: ScriptedGateway
) -> None:
    page.goto(handed_site)
    hands_on(page, "default").get_by_role("button", name="Force open").click()
    assert hands.asked.wait("PUT /breakers") == [("PUT /breakers/default", {"state": "forced-open"})]
    handed_gateway.status["processors"]["default"]["breaker"]["state"] = "forced-open"
    hands_on(page, "default").get_by_role("button", name="Force open").and_(page.locator("[aria-pressed=true]")).click()
    assert hands.asked.wait("PUT /breakers", times=2)[1][1] == {"state": "automatic"}


def test_no_breaker_is_forced_where_that_is_not_allowed(
    page: Page, handed_site: str, handed_gateway: ScriptedGateway
) -> None:
    handed_gateway.status["allowed"]["force"] = False
    page.goto(handed_site)
    expect(page.get_by_role("button", name="Pull the plug")).to_have_count(2)
    expect(page.get_by_role("button", name="Force open")).to_have_count(0)


def test_a_replica_is_killed_once(page: Page, handed_site: str, hands: ScriptedHands) -> None:
    page.goto(handed_site)
    page.get_by_role("button", name="Kill 2").click()
    expect(page.get_by_role("button", name="2 is killed")).to_be_disabled()
    assert [request for request, _ in hands.asked.like("POST")] == ["POST /replicas/2/kill"]
    hands.state["replicas"]["2"] = "running"
    expect(page.get_by_role("button", name="Kill 2")).to_be_enabled()


def test_an_order_that_is_refused_is_told(
    page: Page, handed_site: str, hands: ScriptedHands, expected: list[str]
) -> None:
    expected.append("422")
    hands.refusal = "rate must be at most 500"
    page.goto(handed_site)
    page.get_by_role("button", name="500", exact=True).click()
    expect(page.locator("#hands .bad")).to_have_text("The order was not carried out: 422: rate must be at most 500")


def test_the_focus_stays_on_a_button_whose_state_changes(page: Page, handed_site: str, hands: ScriptedHands) -> None:
    page.goto(handed_site)
    plug = hands_on(page, "default").get_by_role("button", name="Pull the plug")
    plug.press("Enter")
    hands.asked.wait("PUT /processors")
    expect(plug).to_have_attribute("aria-pressed", "true")
    expect(plug).to_be_focused()


def test_a_processor_that_is_not_simulated_can_only_be_forced(
    page: Page, handed_site: str, hands: ScriptedHands
) -> None:
    del hands.state["processors"]["fallback"]
    page.goto(handed_site)
    expect(hands_on(page, "fallback")).to_contain_text("not simulated")
    expect(hands_on(page, "fallback").get_by_role("button")).to_have_text(["Force open", "Force closed"])
