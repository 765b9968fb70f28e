from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from uuid import uuid4

import falcon.testing
import prometheus_client
import pytest
from prometheus_client.parser import text_string_to_metric_families

from actors.domain.breaker import BreakerState
from actors.domain.breaker_causes import Cause
from actors.domain.payment import EndState
from actors.domain.routing import Reason
from actors.errors import GatewayUnavailableError
from actors.messages.intake import AcceptAnswer
from actors.messages.persistence import Incidents
from actors.messages.router import RouterStats
from actors.readiness import Readiness
from gateway.payments import ANSWER_KINDS, PaymentsResource
from gateway.sampled_histogram import ONE_OF_MAX, SampledHistogram
from tests.gateway.fake_gateway import OPENED, UNUSED, FakeGateway

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
        ("default", "the cheapest works"): 9,
        ('od"d\n', "cheaper ones have been down for too long"): 4,
        ("none", "waits: none works"): 3,
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
    gateway.known = {"default": replace(OPENED, transitions_by_cause=changes), 'od"d\n': UNUSED}
    samples = scrape(client)
    expected: Mapping[str, Samples] = {
        "fiel_breaker_transitions_total": {
            ("failure rate", "default", "open"): 2,
            ("a probe succeeded", "default", "closed"): 1,
        },
        "fiel_charges_under_way": {("default",): 3, ('od"d\n',): 0},
        "fiel_charges_limit": {("default",): 12, ('od"d\n',): 266},
        "fiel_charge_latency_seconds": {("default",): 0.0123},
        "fiel_charge_starts_per_second_max": {("default",): 450.5, ('od"d\n',): 800},
    }
    assert expected == {name: family(samples, name) for name in expected}


@pytest.mark.parametrize("state", BreakerState)
def test_a_breaker_is_in_one_state(
    client: falcon.testing.TestClient, gateway: FakeGateway, state: BreakerState
) -> None:
    gateway.known = {"default": replace(OPENED, state=state)}
    expected = {("default", each.value): float(each is state) for each in BreakerState}
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
    assert list(acceptance.buckets())[-1][1] == 0


ALWAYS_TOLD = {
    *("fiel_payments_posted_total", "fiel_ready", "fiel_part_up", "fiel_dead_actors"),
    *(f"fiel_payment_acceptance_seconds_{each}" for each in ("bucket", "count", "sum")),
}
OF_THE_ROUTER = {"fiel_unsettled_payments", "fiel_unresolved_payments", "fiel_routing_decisions_total"}
OF_PERSISTENCE = {"fiel_disputes_total", "fiel_payments_closed_total"}
OF_PROCESSORS = {
    "fiel_breaker_state",
    "fiel_breaker_transitions_total",
    "fiel_charges_under_way",
    "fiel_charges_limit",
    "fiel_charge_latency_seconds",
    "fiel_charge_starts_per_second_max",
}


@pytest.mark.parametrize(
    ("silent", "told"),
    [
        ((), ALWAYS_TOLD | OF_THE_ROUTER | OF_PERSISTENCE | OF_PROCESSORS),
        (("stats",), ALWAYS_TOLD | OF_PERSISTENCE | OF_PROCESSORS),
        (("processors",), ALWAYS_TOLD | OF_THE_ROUTER | OF_PERSISTENCE),
        (("stats", "incidents", "processors"), ALWAYS_TOLD),
    ],
)
def test_what_an_actor_does_not_tell_is_absent(
    client: falcon.testing.TestClient, gateway: FakeGateway, silent: tuple[str, ...], told: set[str]
) -> None:
    gateway.silent = silent
    assert told == {key[0] for key in scrape(client) if key[0].startswith("fiel_")}


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
