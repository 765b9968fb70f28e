import platform
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from enum import Enum
from uuid import uuid4

import falcon.testing
import prometheus_client
import pytest
from prometheus_client.parser import text_string_to_metric_families

from actors.domain.breaker import BreakerState
from actors.domain.breaker_causes import Cause
from actors.domain.outcome import Outcome
from actors.domain.payment import EndState
from actors.domain.processors import parse_processors
from actors.domain.records import LookUpResult
from actors.domain.routing import Reason
from actors.domain.version import VERSION
from actors.errors import GatewayUnavailableError
from actors.messages.intake import AcceptAnswer
from actors.messages.persistence import Incidents, WriteStats
from actors.messages.router import RouterStats
from actors.readiness import Readiness
from gateway.metrics.families import label
from gateway.metrics.payments import written
from gateway.payments import ANSWER_KINDS, PaymentsResource
from gateway.sampled_histogram import ONE_OF_MAX, SampledHistogram
from tests.gateway.exposition import CLIENTS, everything_told, measured_client
from tests.gateway.fake_gateway import MEASURED, OPENED, UNUSED, FakeGateway, durations

PROMTOOL = shutil.which("promtool")
Samples = dict[tuple[str, ...], float]


def scrape(client: falcon.testing.TestClient) -> Samples:
    answer = client.simulate_get("/metrics")
    assert (answer.status_code, answer.headers["content-type"]) == (200, prometheus_client.CONTENT_TYPE_LATEST)
    families = text_string_to_metric_families(answer.text)
    return {(each.name, *each.labels.values()): each.value for family in families for each in family.samples}


def post(client: falcon.testing.TestClient, amount: float = 19.9, correlation_id: str | None = None) -> None:
    client.simulate_post("/payments", json={"correlationId": correlation_id or str(uuid4()), "amount": amount})


def posted(client: falcon.testing.TestClient) -> dict[str, float]:
    samples = scrape(client)
    return {kind: samples["fiel_payments_posted_total", kind] for kind in ANSWER_KINDS}


def test_every_answer_to_a_post_is_counted_once(client: falcon.testing.TestClient, gateway: FakeGateway) -> None:
    expected = dict.fromkeys(ANSWER_KINDS, 0.0)
    assert expected == posted(client)
    same = str(uuid4())
    for amount in (19.9, 19.9, 19.9, 20, -1):
        post(client, amount, same)
    client.simulate_post("/payments", headers={"Content-Type": "text/plain"})
    for answer in (AcceptAnswer.OVERLOADED, AcceptAnswer.JOURNAL_UNAVAILABLE):
        gateway.answer = answer
        post(client)
    gateway.error = GatewayUnavailableError("stopping")
    post(client)
    expected |= {"accepted": 1, "repeated": 2, "conflict": 1, "refused": 2}
    expected |= {"overloaded": 1, "journal_unavailable": 1, "unavailable": 1}
    assert expected == posted(client)


def family(samples: Samples, name: str) -> Samples:
    """Give the samples of one name by the values of their labels, in the labels' alphabetical order."""
    return {key[1:]: value for key, value in samples.items() if key[0] == name}


def test_what_waits_and_why_is_told_as_it_is_at_the_scrape(
    client: falcon.testing.TestClient, gateway: FakeGateway
) -> None:
    decisions = {("default", Reason.CHEAPEST): 9, ('od"d\n', Reason.OUTAGE): 4, (None, Reason.WAIT_FOR_ANY): 3}
    gateway.busy = RouterStats(unsettled={"claiming": 2, "pausing": 0}, unresolved=5, decisions=decisions)
    samples = scrape(client)
    assert family(samples, "fiel_unsettled_payments") == {("claiming",): 2, ("pausing",): 0}
    assert samples["fiel_unresolved_payments",] == 5
    assert family(samples, "fiel_routing_decisions_total") == {
        ("default", "cheapest"): 9,
        ('od"d\n', "outage"): 4,
        ("none", "wait_for_any"): 3,
    }
    gateway.busy = RouterStats(unsettled={"claiming": 7}, unresolved=0, decisions={})
    assert scrape(client)["fiel_unsettled_payments", "claiming"] == 7


def test_what_an_operator_has_to_know_of_is_counted(client: falcon.testing.TestClient, gateway: FakeGateway) -> None:
    gateway.ended = Incidents(disputes=2, closed={EndState.DECLINED: 7, EndState.MISMATCHED: 0})
    samples = scrape(client)
    assert samples["fiel_disputes_total",] == 2
    assert family(samples, "fiel_payments_closed_total") == {("declined",): 7, ("mismatched",): 0}


def test_each_processor_is_told_as_it_is_at_the_scrape(client: falcon.testing.TestClient, gateway: FakeGateway) -> None:
    changes = {(BreakerState.OPEN, Cause.FAILURE_RATE): 2, (BreakerState.CLOSED, Cause.PROBE_SUCCEEDED): 1}
    gateway.known = {"default": replace(OPENED, transitions_by_cause=changes, unreachable=True), 'od"d\n': UNUSED}
    samples = scrape(client)
    expected: Mapping[str, Samples] = {
        "fiel_processor_charges": {("default",): 1, ('od"d\n',): 0},
        "fiel_processor_unreachable": {("default",): 1, ('od"d\n',): 0},
        "fiel_breaker_transitions_total": {
            ("failure_rate", "default", "open"): 2,
            ("probe_succeeded", "default", "closed"): 1,
        },
        "fiel_charges_under_way": {("default",): 3, ('od"d\n',): 0},
        "fiel_charges_under_way_max": {("default",): 12, ('od"d\n',): 266},
        "fiel_charge_latency_seconds": {("default",): 0.0123},
        "fiel_charge_starts_per_second_max": {("default",): 450.5, ('od"d\n',): 800},
    }
    assert expected == {name: family(samples, name) for name in expected}


@pytest.mark.parametrize("state", BreakerState)
def test_a_breaker_is_in_one_state(
    client: falcon.testing.TestClient, gateway: FakeGateway, state: BreakerState
) -> None:
    gateway.known = {"default": replace(OPENED, state=state)}
    expected = {("default", each.name.lower()): float(each is state) for each in BreakerState}
    assert expected == family(scrape(client), "fiel_breaker_state")


def test_how_long_acceptance_takes_is_told_and_refused_bodies_are_left_out(client: falcon.testing.TestClient) -> None:
    for amount in (19.9, 20, -1):
        post(client, amount)
    samples = scrape(client)
    buckets = family(samples, "fiel_payment_acceptance_seconds_bucket")
    assert buckets["+Inf",] == samples["fiel_payment_acceptance_seconds_count",] == 2
    assert buckets["0.0005",] <= buckets["2.5",]
    assert samples["fiel_payment_acceptance_seconds_sum",] > 0


def test_the_count_of_answers_is_exact_where_durations_are_sampled(gateway: FakeGateway) -> None:
    answers, acceptance = Counter[str](), SampledHistogram(chance=lambda: 0.999)
    acceptance.one_of = ONE_OF_MAX
    app = falcon.App()
    app.add_route("/payments", PaymentsResource(gateway, gateway, answers, acceptance))
    for _ in range(25):
        post(falcon.testing.TestClient(app))
    assert answers == {"accepted": 25}
    assert sum(acceptance.counts) == 0


OF = {
    "stats": {
        *("fiel_unsettled_payments", "fiel_unresolved_payments", "fiel_routing_decisions_total"),
        *("fiel_payments_in_memory", "fiel_payments_in_memory_max"),
        *("fiel_late_charge_checks", "fiel_late_charge_checks_max"),
    },
    "incidents": {"fiel_disputes_total", "fiel_payments_closed_total"},
    "processors": {
        *("fiel_breaker_state", "fiel_breaker_transitions_total", "fiel_look_ups_total", "fiel_processor_charges"),
        *("fiel_charges_under_way", "fiel_charges_under_way_max", "fiel_processor_unreachable"),
        *("fiel_look_ups_under_way", "fiel_look_ups_under_way_max"),
        *("fiel_charge_latency_seconds", "fiel_charge_starts_per_second_max"),
        *(f"fiel_charge_seconds_{each}" for each in ("bucket", "count", "sum")),
    },
    "writes": {
        *("fiel_payments_settled_total", "fiel_settled_amount_total", "fiel_settled_fees_total"),
        "fiel_payment_moves_total",
        *(f"fiel_payment_settlement_seconds_{each}" for each in ("bucket", "count", "sum")),
        *(f"fiel_postgres_commit_seconds_{each}" for each in ("bucket", "count", "sum")),
    },
    "intake": {"fiel_journal_payments", "fiel_journal_payments_max", "fiel_known_ids", "fiel_known_ids_max"},
    "gossip": {
        *("fiel_untold_payments", "fiel_untold_payments_max"),
        *("fiel_ids_asked_for", "fiel_ids_asked_for_max"),
        *("fiel_histories_asked_for", "fiel_histories_asked_for_max"),
    },
}
"""The metrics that are told by the answer to each question."""


WITHOUT = {
    "writes": replace(MEASURED, writes=None),
    "intake": replace(MEASURED, intake=None),
    "gossip": replace(MEASURED, gossip=None),
}


def told(client: falcon.testing.TestClient) -> set[str]:
    return {key[0] for key in scrape(client) if key[0].startswith("fiel_")}


@pytest.mark.parametrize("silent", OF)
def test_what_an_actor_does_not_tell_is_absent(
    client: falcon.testing.TestClient, gateway: FakeGateway, silent: str
) -> None:
    everything = told(client)
    gateway.silent = (silent,)
    gateway.measured = WITHOUT.get(silent, MEASURED)
    assert everything - OF[silent] == told(client)
    assert OF[silent] <= everything


def test_adoptions_are_told_as_far_as_they_are_known(client: falcon.testing.TestClient, gateway: FakeGateway) -> None:
    gateway.busy = replace(gateway.busy, adopted=11)
    assert family(scrape(client), "fiel_payments_adopted_total") == {("rows",): 11, ("journals",): 6}
    gateway.silent, gateway.measured = ("stats",), replace(MEASURED, intake=None)
    assert "fiel_payments_adopted_total" not in told(client)


def test_what_was_charged_is_told_in_units_of_the_currency_and_fees_where_they_are_known(
    client: falcon.testing.TestClient,
) -> None:
    samples, none = scrape(client), {("BRL", "fallback"): 0}
    assert family(samples, "fiel_payments_settled_total") == none | {("BRL", "default"): 5, ("JPY", "gone"): 1}
    assert family(samples, "fiel_settled_amount_total") == none | {("BRL", "default"): 123.45, ("JPY", "gone"): 700}
    assert family(samples, "fiel_settled_fees_total") == none | {("BRL", "default"): pytest.approx(6.1725)}
    assert family(samples, "fiel_payment_moves_total") == {("default",): 0, ("fallback",): 3, ("none",): 2}


def test_what_no_processor_has_charged_yet_is_told_as_zero_in_the_currencies_that_are_named_for_it() -> None:
    configured = parse_processors("all=http://a:1,0.05 two=http://b:1,0.1,JPY|USD former=http://c:1,0.1,lookup")
    nothing = WriteStats({}, {}, durations(), durations())
    told = {each.name: each.samples for each in written(nothing, configured, "EUR")}
    kinds = {("all", "EUR"), ("two", "JPY"), ("two", "USD"), ("former", "EUR")}
    for name in ("fiel_payments_settled", "fiel_settled_amount", "fiel_settled_fees"):
        assert {(each.labels["processor"], each.labels["currency"]) for each in told[name]} == kinds
        assert {each.value for each in told[name]} == {0}
    moves = {each.labels["processor"]: each.value for each in told["fiel_payment_moves"]}
    assert moves == {"all": 0, "two": 0, "none": 0}


def test_charges_are_told_by_processor_and_outcome(client: falcon.testing.TestClient) -> None:
    samples = scrape(client)
    assert family(samples, "fiel_charge_seconds_count") == {
        ("settled", "default"): 2,
        ("already_charged", "default"): 1,
    }
    assert samples["fiel_charge_seconds_bucket", "0.1", "settled", "default"] == 1
    assert family(samples, "fiel_look_ups_total") == {("default", "charged"): 4, ("default", "no_answer"): 1}


def test_everything_bounded_is_told_beside_its_bound(gateway: FakeGateway) -> None:
    samples = scrape(measured_client(gateway, lambda: CLIENTS))
    names = {key for key in samples if f"{key[0]}_max" in {each[0] for each in samples}}
    assert {key: (samples[key], samples[f"{key[0]}_max", *key[1:]]) for key in names} == {
        ("fiel_journal_payments",): (7, 1000),
        ("fiel_payments_in_memory",): (0, 0),
        ("fiel_late_charge_checks",): (0, 0),
        ("fiel_known_ids", "accepted"): (8, 20),
        ("fiel_known_ids", "heard"): (9, 20),
        ("fiel_untold_payments",): (1, 20_000),
        ("fiel_ids_asked_for",): (2, 64),
        ("fiel_histories_asked_for",): (3, 16),
        ("fiel_connections",): (3, 384),
        ("fiel_unfinished_request_bytes",): (100, 2**20),
        ("fiel_untaken_answer_bytes",): (200, 4 * 2**20),
        ("fiel_readers_waiting",): (5, 64),
        ("fiel_feed_consumers",): (6, 64),
        ("fiel_postgres_pool_connections",): (1, 4),
        ("fiel_mailbox_messages", "router"): (4, 4096),
        ("fiel_memory_bytes",): (60_000_000, 84_000_000),
        ("fiel_charges_under_way", "default"): (3, 12),
        ("fiel_charges_under_way", "fallback"): (0, 266),
        ("fiel_look_ups_under_way", "default"): (2, 16),
        ("fiel_look_ups_under_way", "fallback"): (0, 0),
    }


def test_the_memory_has_no_bound_where_the_system_sets_none(
    client: falcon.testing.TestClient, gateway: FakeGateway
) -> None:
    gateway.measured = replace(MEASURED, usage=replace(MEASURED.usage, memory_bytes_max=None))
    assert "fiel_memory_bytes" in told(client)
    assert "fiel_memory_bytes_max" not in told(client)


def test_every_scrape_says_which_replica_it_is_and_which_release(gateway: FakeGateway) -> None:
    samples = scrape(measured_client(gateway))
    assert family(samples, "fiel_build_info") == {("fsync", platform.python_version(), "7", VERSION): 1}


LABEL = re.compile(r"[a-z][a-z0-9_]*")


@pytest.mark.parametrize("members", [Reason, Cause, BreakerState, Outcome, LookUpResult])
def test_labels_of_enums_are_short_names(members: type[Enum]) -> None:
    values = [label(member) for member in members]
    assert all(LABEL.fullmatch(value) and len(value) <= 20 for value in values)
    assert len(set(values)) == len(values)


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
def test_names_and_units_follow_the_rules_of_prometheus() -> None:
    page = everything_told()
    assert PROMTOOL is not None
    checked = subprocess.run(  # noqa: S603  # our own page
        [PROMTOOL, "check", "metrics"], input=page, text=True, capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


@pytest.mark.parametrize("ready", [True, False])
def test_readiness_and_dead_actors_are_told(
    client: falcon.testing.TestClient, gateway: FakeGateway, *, ready: bool
) -> None:
    gateway.ready = Readiness(ready=ready, parts={"journal": "ok", "redis": "refused"})
    gateway.dead = ("router", "intake")
    samples = scrape(client)
    assert (ready, 1, 0, 2) == (
        samples["fiel_ready",],
        samples["fiel_part_up", "journal"],
        samples["fiel_part_up", "redis"],
        samples["fiel_dead_actors",],
    )


def test_the_process_is_measured(client: falcon.testing.TestClient) -> None:
    assert scrape(client)["process_resident_memory_bytes",] > 0


def test_two_applications_share_nothing(client: falcon.testing.TestClient) -> None:
    post(client)
    assert scrape(client)["fiel_payments_posted_total", "accepted"] == 1
    assert b"fiel_" not in prometheus_client.generate_latest()
