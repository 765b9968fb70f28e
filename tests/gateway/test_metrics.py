from uuid import uuid4

import falcon.testing
import prometheus_client
import pytest
from prometheus_client.parser import text_string_to_metric_families

from actors.domain.breaker import BreakerState
from actors.domain.messages import AcceptAnswer, Census
from actors.errors import GatewayUnavailableError
from actors.replica import Readiness
from gateway.payments import ANSWER_KINDS
from tests.gateway.fake_gateway import FakeGateway

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


def test_what_waits_and_the_breakers_are_told_as_they_are_at_the_scrape(
    client: falcon.testing.TestClient, gateway: FakeGateway
) -> None:
    breakers = {"default": BreakerState.HALF_OPEN, 'od"d\n': BreakerState.OPEN}
    gateway.busy = Census(unsettled={"its row": 2, "a pause": 0}, unresolved=5, breakers=breakers)
    samples = scrape(client)
    waiting = {key[1:]: value for key, value in samples.items() if key[0] == "fiel_unsettled_payments"}
    assert waiting == {("its row",): 2, ("a pause",): 0}
    in_state = [key[1:] for key, value in samples.items() if key[0] == "fiel_breaker_state" and value]
    assert in_state == [("default", "half-open"), ('od"d\n', "open")]
    assert samples["fiel_unresolved_payments",] == 5
    gateway.busy = Census(unsettled={"its row": 7}, unresolved=0, breakers={})
    assert scrape(client)["fiel_unsettled_payments", "its row"] == 7


def test_what_the_router_does_not_tell_is_absent(client: falcon.testing.TestClient, gateway: FakeGateway) -> None:
    gateway.error = GatewayUnavailableError("router does not answer")
    names = {key[0] for key in scrape(client)}
    assert names.isdisjoint({"fiel_unsettled_payments", "fiel_unresolved_payments", "fiel_breaker_state"})
    assert names >= {"fiel_payments_posted_total", "fiel_ready", "fiel_part_up", "fiel_dead_actors"}


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
