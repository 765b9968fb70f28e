from datetime import timedelta
from itertools import pairwise

import pytest
from playwright.sync_api import Page, expect

from tests.browser.scenes import (
    LAST_S,
    NOW,
    SECONDS,
    UNKNOWN_ID,
    Status,
    down,
    event,
    killed,
    load,
    rest,
    unknown_payment,
)
from tests.browser.sites import ScriptedGateway
from tests.waiting import wait_until

HIDE = """(hidden) => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""
NOTE_QUESTIONS = """
    const ask = fetch;
    askedAt = [];
    fetch = (path, ...rest) => {
        if (path.startsWith("status")) askedAt.push(performance.now());
        return ask(path, ...rest);
    };
"""


@pytest.mark.parametrize(("tone", "mark"), [("good", "●"), ("warn", "▲"), ("bad", "■")])
def test_the_story_stands_first_and_its_tone_colours_the_header(
    page: Page, site: str, gateway: ScriptedGateway, tone: str, mark: str
) -> None:
    gateway.status["story"] = {"tone": tone, "text": "default is down for 4.2 s: 468 wait for it"}
    page.goto(site)
    expect(page.locator("#story")).to_have_text(f"{mark} default is down for 4.2 s: 468 wait for it")
    expect(page.locator("#header")).to_have_class(tone)


def test_a_screen_reader_hears_the_story_only_where_the_tone_changes(
    page: Page, site: str, gateway: ScriptedGateway
) -> None:
    gateway.status["story"] = {"tone": "warn", "text": "default is down for 4.2 s"}
    page.goto(site)
    expect(page.get_by_role("status").first).to_have_text("default is down for 4.2 s")
    gateway.status["story"] = {"tone": "warn", "text": "default is down for 5.2 s"}
    expect(page.locator("#story")).to_contain_text("5.2 s")
    expect(page.get_by_role("status").first).to_have_text("default is down for 4.2 s")


def test_a_processor_is_shown_with_all_that_is_known_of_it(page: Page, site: str, gateway: ScriptedGateway) -> None:
    gateway.status = down()
    page.goto(site)
    card = page.locator("#processors article", has_text="default")
    expect(card).to_contain_text("breaker open")
    shown = dict(zip(card.locator("dt").all_text_contents(), card.locator("dd").all_text_contents(), strict=True))
    assert shown == {
        "share": "95.2 % of 8,400",
        "in this state": "4.2 s",
        "cause": "5 failures in a row",
        "under way": "1 of 266",
        "failure rate": "100 %",
        "slow rate": "0 %",
        "latency": "13.1 ms",
        "health check": "failing, 1.2 s ago",
        "fee": "5 %",
    }


def test_breakers_that_differ_between_replicas_are_told_apart(page: Page, site: str, gateway: ScriptedGateway) -> None:
    gateway.status["processors"]["default"]["breaker"]["byReplica"] = {"1": "open", "2": "half-open"}
    page.goto(site)
    expect(page.locator("#processors article", has_text="default")).to_contain_text("1 open, 2 half-open")


def test_a_silent_replica_is_told_to_be_silent(page: Page, site: str, gateway: ScriptedGateway) -> None:
    gateway.status = killed()
    page.goto(site)
    expect(page.locator("#replicas article")).to_have_count(3)
    expect(page.locator("#replicas article.silent")).to_contain_text("silent for 12 s")


def test_money_is_told_by_currency_with_what_it_cost_and_might_have_cost(
    page: Page, site: str, gateway: ScriptedGateway
) -> None:
    gateway.status["money"] = {
        "BRL": {"default": {"requests": 123_456, "amount": 2_456_774.40, "fees": 122_838.72}},
        "JPY": {
            "default": {"requests": 2, "amount": 300, "fees": 15},
            "gone": {"requests": 1, "amount": 7, "fees": None},
        },
    }
    gateway.status["feesPaid"] = {"BRL": 122_838.72, "JPY": 15}
    gateway.status["feesCheapest"] = {"BRL": 100_000, "JPY": 15}
    page.goto(site)
    brl = page.get_by_role("table", name="BRL")
    expect(brl).to_contain_text("123,456")
    expect(brl).to_contain_text("fees BRL 122,838.72, at the cheapest BRL 100,000.00")
    expect(page.get_by_role("table", name="JPY")).to_contain_text("fees JPY 15, at the cheapest JPY 15")
    expect(page.get_by_role("table", name="JPY").get_by_role("row", name="gone")).to_have_text("gone17not known")


def test_events_are_told_in_words_the_newest_first(page: Page, site: str, gateway: ScriptedGateway) -> None:
    gateway.status["events"] = [
        event(5, "breaker", "bad", "default opened: 5 failures in a row", "2"),
        event(1, "order", "warn", "default is forced open"),
    ]
    page.goto(site)
    expect(page.locator("#events li")).to_have_text(
        ["07:59:59 default is forced open replica 1", "07:59:55 default opened: 5 failures in a row replica 2"]
    )


def test_only_what_waits_is_listed(page: Page, site: str, gateway: ScriptedGateway) -> None:
    gateway.status["waiting"] = {"held": 468, "pausing": 2, "charging": 0}
    page.goto(site)
    expect(page.locator("#waiting .big")).to_have_text("470")
    expect(page.locator("#waiting")).to_contain_text("wait for a processor468")
    expect(page.locator("#waiting")).not_to_contain_text("end of a charge")


def test_what_a_status_says_is_text_and_never_markup(page: Page, site: str, gateway: ScriptedGateway) -> None:
    gateway.status["story"]["text"] = gateway.status["events"][0]["text"] = "<img src=x onerror=alert(1)>"
    gateway.status["processors"]["<b>bold</b>"] = gateway.status["processors"]["default"]
    page.goto(site)
    expect(page.locator("#story")).to_contain_text("<img src=x")
    expect(page.locator("#processors h3").last).to_have_text("<b>bold</b>")
    assert page.locator("img").count() == 0


def test_each_chart_tells_the_newest_values_in_its_legend(page: Page, site: str, gateway: ScriptedGateway) -> None:
    gateway.status = down()
    page.goto(site)
    expect(page.locator("figure")).to_have_count(4)
    rates, waiting, answers, latencies = page.locator("figure .legend").all()
    expect(rates).to_contain_text("accepted 301settled on default 0settled on fallback 0default was down for 4 s")
    expect(waiting).to_contain_text("waiting 468")
    expect(answers).to_contain_text("p50 2 ms")
    expect(latencies).to_contain_text("default 12.3 ms")


def test_a_chart_tells_the_values_of_the_second_under_the_pointer(
    page: Page, site: str, gateway: ScriptedGateway
) -> None:
    gateway.status["history"]["accepted"] = list(range(SECONDS))
    page.goto(site)
    legend = page.locator("figure .legend").first
    expect(legend).to_contain_text("accepted 299")
    page.locator(".plot .u-over").first.hover(position={"x": 1, "y": 50})
    expect(legend).to_contain_text("accepted 0")


def test_an_outage_is_shaded(page: Page, site: str, gateway: ScriptedGateway) -> None:
    page.goto(site)
    expect(page.locator("figure .legend").first).to_contain_text("settled on default")
    calm = page.locator(".plot canvas").first.evaluate("(canvas) => canvas.toDataURL()")
    gateway.status["history"]["down"]["default"][100:120] = [1] * 20
    page.reload()
    expect(page.locator("figure .legend").first).to_contain_text("default was down for 20 s")
    assert page.locator(".plot canvas").first.evaluate("(canvas) => canvas.toDataURL()") != calm


def test_a_reload_shows_five_minutes_again_and_later_polls_ask_for_what_is_new(
    page: Page, site: str, gateway: ScriptedGateway
) -> None:
    gateway.status = load()
    page.goto(site)
    first, second, *_ = [request for request, _ in gateway.asked.wait("GET /status", times=2)]
    assert (first, second) == ("GET /status", f"GET /status?after={LAST_S - 3}")
    page.reload()
    expect(page.locator("figure .legend").first).to_contain_text("accepted 301")
    assert len([request for request, _ in gateway.asked.like("GET /status") if "after" not in request]) == 2


def test_new_seconds_push_the_old_ones_out(page: Page, site: str, gateway: ScriptedGateway) -> None:
    gateway.status["history"]["accepted"] = list(range(SECONDS))
    page.goto(site)
    expect(page.locator("figure .legend").first).to_contain_text("accepted 299")
    gateway.status["history"] = {"from": LAST_S + 1, "accepted": [1000, 1001]}
    expect(page.locator("figure .legend").first).to_contain_text("accepted 1,001")
    page.locator(".plot .u-over").first.hover(position={"x": 1, "y": 50})
    expect(page.locator("figure .legend").first).to_contain_text("accepted 2")


def test_a_clock_that_is_put_back_is_followed(page: Page, site: str, gateway: ScriptedGateway) -> None:
    page.goto(site)
    expect(page.locator("figure .legend").first).to_contain_text("accepted 0")
    gateway.status |= {"at": "2026-11-26T07:00:00Z"}
    gateway.status["history"] = {"from": LAST_S - 3600, "accepted": [42]}
    expect(page.locator("figure .legend").first).to_contain_text("accepted 42")


def test_the_gateway_is_asked_at_most_once_a_second(page: Page, site: str, gateway: ScriptedGateway) -> None:
    page.add_init_script(NOTE_QUESTIONS)
    page.clock.install(time=NOW)
    page.clock.pause_at(NOW + timedelta(seconds=1))
    page.goto(site)

    def five_were_asked() -> bool:
        page.clock.run_for(100)
        return bool(page.evaluate("askedAt.length >= 5"))

    wait_until(five_were_asked)
    gateway.asked.wait("GET /status", times=5)
    asked_at = page.evaluate("askedAt")
    assert min(after - before for before, after in pairwise(asked_at)) >= 1000, asked_at


def test_a_hidden_page_asks_nothing_and_asks_at_once_when_it_is_shown(
    page: Page, site: str, gateway: ScriptedGateway
) -> None:
    page.clock.install(time=NOW)
    page.clock.pause_at(NOW + timedelta(seconds=1))
    page.goto(site)
    expect(page.locator("#footer")).to_contain_text("Reported by replica 1")
    page.evaluate(HIDE, arg=True)
    page.clock.run_for(60_000)
    assert len(gateway.asked.like("GET /status")) == 1
    page.evaluate(HIDE, arg=False)
    assert len(gateway.asked.wait("GET /status", times=2)) == 2


def test_a_gateway_that_does_not_answer_leaves_what_was_known_greyed(
    page: Page, site: str, gateway: ScriptedGateway, expected: list[str]
) -> None:
    page.goto(site)
    expect(page.locator("#processors article")).to_have_count(2)
    expected.append("503")
    gateway.failing = True
    expect(page.get_by_role("alert")).to_contain_text("503: too many payments are waiting")
    expect(page.get_by_role("alert")).to_contain_text("The figures below are from then")
    expect(page.locator("#header")).to_have_class("bad")
    expect(page.locator("#story")).to_contain_text("does not answer since")
    expect(page.locator("main")).to_have_class("stale")
    expect(page.locator("#processors article")).to_have_count(2)
    gateway.failing = False
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.locator("main")).not_to_have_class("stale")
    expect(page.locator("#header")).to_have_class("good")


def test_a_payment_is_found_by_its_id_with_its_whole_history(page: Page, site: str, gateway: ScriptedGateway) -> None:
    gateway.payments[UNKNOWN_ID] = unknown_payment()
    page.goto(site)
    page.get_by_label("Its id").fill(UNKNOWN_ID)
    page.keyboard.press("Enter")
    found = page.locator("#found")
    expect(found).to_contain_text("default has not answered whether it charged the payment")
    expect(found.locator(".history li")).to_have_count(6)
    expect(found.locator(".history li").nth(4)).to_contain_text("no answer in time: unknown whether it was charged")
    expect(found.locator(".history li").nth(5)).to_contain_text("instant not known")
    expect(found.locator(".pill")).to_have_text("unknown")


def test_the_address_of_a_found_payment_leads_to_it(page: Page, site: str, gateway: ScriptedGateway) -> None:
    settled = unknown_payment() | {
        "state": "settled",
        "waitsFor": None,
        "refusedAmounts": [5.00, {"amount": 7, "currency": "JPY"}],
    }
    gateway.payments[UNKNOWN_ID] = settled
    page.goto(f"{site}/#{UNKNOWN_ID}")
    expect(page.locator("#found .pill")).to_have_text("settled")
    expect(page.locator("#found")).to_contain_text("JPY 7")
    expect(page.get_by_role("button", name="Resolve")).to_have_count(0)


def test_an_id_that_nobody_knows_is_said_to_be_unknown(page: Page, site: str, expected: list[str]) -> None:
    expected.append("404")
    page.goto(f"{site}/#{UNKNOWN_ID}")
    expect(page.locator("#found")).to_have_text(f"404: no payment was accepted under {UNKNOWN_ID}")


def payments_listed(number: int) -> list[Status]:
    return [
        unknown_payment() | {"correlationId": f"{index:08d}-7d26-4d9d-aa19-4dc1c7cf60b3", "state": "declined"}
        for index in range(number)
    ]


def test_a_list_is_asked_for_only_when_it_is_opened_and_page_by_page(
    page: Page, site: str, gateway: ScriptedGateway
) -> None:
    gateway.lists["declined"] = payments_listed(45)
    page.goto(site)
    expect(page.locator("#footer")).to_contain_text("Reported by replica 1")
    assert gateway.asked.like("GET /payments") == []
    page.get_by_text("Declined by all processors").click()
    items = page.locator("details[data-state=declined] details")
    expect(items).to_have_count(20)
    page.get_by_role("button", name="More").click()
    expect(items).to_have_count(40)
    page.get_by_role("button", name="More").click()
    expect(items).to_have_count(45)
    expect(page.get_by_role("button", name="More")).to_have_count(0)


def test_a_list_tells_how_many_it_has_before_it_is_opened(page: Page, site: str, gateway: ScriptedGateway) -> None:
    gateway.status["ended"] |= {"declined": 1234}
    page.goto(site)
    expect(page.locator("details[data-state=declined] summary")).to_contain_text("1,234")


@pytest.mark.parametrize(
    ("choice", "posted"),
    [
        ("fallback", {"chargedBy": "fallback", "requestedAt": "2026-11-26T07:58:00.000Z", "by": "Ana"}),
        ("nobody: charge it anew", {"chargedBy": None, "by": "Ana"}),
    ],
)
def test_an_operator_resolves_a_payment(
    page: Page, site: str, gateway: ScriptedGateway, choice: str, posted: Status
) -> None:
    gateway.lists["declined"] = payments_listed(1)
    page.goto(site)
    expect(page.locator("#footer")).to_contain_text("Reported by replica 1")
    page.get_by_text("Declined by all processors").click()
    page.locator("details[data-state=declined] details summary").click()
    page.get_by_label("Charged by").select_option(choice)
    if posted["chargedBy"]:
        page.get_by_label("at (as its books say)").fill("2026-11-26T07:58:00.000Z")
    page.get_by_label("Your name").fill("Ana")
    page.get_by_role("button", name="Resolve").click()
    ((request, body),) = gateway.asked.wait("POST /payments")
    assert (request, body) == ("POST /payments/00000000-7d26-4d9d-aa19-4dc1c7cf60b3/resolution", posted)
    expect(page.locator(".resolve [role=status]")).to_have_text("Resolved.")


def test_nothing_is_offered_to_be_resolved_where_that_is_not_allowed(
    page: Page, site: str, gateway: ScriptedGateway
) -> None:
    gateway.status["allowed"]["resolve"] = False
    gateway.lists["declined"] = payments_listed(1)
    page.goto(site)
    expect(page.locator("#footer")).to_contain_text("Reported by replica 1")
    page.get_by_text("Declined by all processors").click()
    page.locator("details[data-state=declined] details summary").click()
    expect(page.get_by_text("driven by replica")).to_be_visible()
    expect(page.get_by_role("button", name="Resolve")).to_have_count(0)


def test_what_is_selected_and_focused_stays_while_numbers_change(
    page: Page, site: str, gateway: ScriptedGateway
) -> None:
    page.goto(site)
    expect(page.locator("#processors article")).to_have_count(2)
    page.evaluate("window.card = document.querySelector('#processors article dd')")
    page.locator("#events").focus()
    gateway.status = rest() | {"replica": "2"}
    gateway.status["processors"]["default"]["underWay"] = 17
    expect(page.locator("#processors article").first).to_contain_text("17 of 266")
    assert page.evaluate("window.card.isConnected && document.activeElement.id") == "events"


def test_what_is_not_known_is_told_to_be_so(page: Page, site: str, gateway: ScriptedGateway) -> None:
    status = gateway.status
    status |= dict.fromkeys(("money", "feesPaid", "feesCheapest", "waiting", "ended"))
    status["replicas"]["2"] = dict.fromkeys(status["replicas"]["2"])
    status["processors"]["default"] |= {"latencyMs": None, "health": None, "underWay": None, "failureRate": None}
    status["processors"]["default"]["breaker"] = dict.fromkeys(status["processors"]["default"]["breaker"])
    page.goto(site)
    expect(page.locator("#money")).to_have_text("unknown while Postgres does not answer")
    expect(page.locator("#waiting .big")).to_have_text("not known")
    expect(page.locator("#replicas article").nth(1)).to_contain_text("memorynot known")
    expect(page.locator("#processors article").first).to_contain_text("breaker not known")
    for shown in ("null", "undefined", "NaN", "Infinity"):
        expect(page.locator("main")).not_to_contain_text(shown)


def test_a_payment_that_was_found_after_another_is_the_one_that_is_resolved(
    page: Page, site: str, gateway: ScriptedGateway
) -> None:
    other_id = UNKNOWN_ID.replace("4a79", "5b80")
    gateway.payments |= {each: unknown_payment() | {"correlationId": each} for each in (UNKNOWN_ID, other_id)}
    page.goto(f"{site}/#{UNKNOWN_ID}")
    expect(page.locator("#found code")).to_have_text(UNKNOWN_ID)
    page.get_by_label("Its id").fill(other_id)
    page.get_by_role("button", name="Find").click()
    expect(page.locator("#found code")).to_have_text(other_id)
    page.get_by_label("Charged by").select_option("nobody: charge it anew")
    page.get_by_label("Your name").fill("Ana")
    page.get_by_role("button", name="Resolve").click()
    ((request, _),) = gateway.asked.wait("POST /payments")
    assert request == f"POST /payments/{other_id}/resolution"


def test_a_history_that_is_not_told_with_its_payment_is_asked_for(
    page: Page, site: str, gateway: ScriptedGateway
) -> None:
    payment = unknown_payment()
    steps, waits_for = payment.pop("history"), payment.pop("waitsFor")
    gateway.payments[UNKNOWN_ID] = payment
    gateway.histories[UNKNOWN_ID] = {"correlationId": UNKNOWN_ID, "steps": steps, "waitsFor": waits_for}
    page.goto(f"{site}/#{UNKNOWN_ID}")
    expect(page.locator("#found .history li")).to_have_count(len(steps))
    expect(page.locator("#found .waits")).to_have_text(waits_for)


def test_a_payment_is_shown_without_its_history_where_that_is_not_known(
    page: Page, site: str, gateway: ScriptedGateway, expected: list[str]
) -> None:
    expected.append("404")
    gateway.payments[UNKNOWN_ID] = unknown_payment()
    del gateway.payments[UNKNOWN_ID]["history"]
    page.goto(f"{site}/#{UNKNOWN_ID}")
    expect(page.locator("#found .waits")).to_contain_text("Its history is not known: 404")
    expect(page.locator("#found")).to_contain_text("sent to processors2 times")
