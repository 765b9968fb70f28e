"""The controls of `ops/up`, as running processes: what the live page asks of them happens, and nobody else may ask."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ops.chaostest.client import HttpAnswer, NoAnswerError, administer, open_connection
from ops.stack.settings import StackOptions
from ops.stack.stack import Stack
from tests.end_to_end.cluster import get
from tests.waiting import wait_until

Ask = Callable[..., HttpAnswer]
IDLE = {"rate": 0, "sent": 0, "accepted": 0, "failed": 0}
WORKS = {"plug": True, "delayMs": 0, "failureShare": 0.0}


@contextmanager
def watched(options: StackOptions) -> Iterator[Stack]:
    """Run a stack with controls, and restart what ends, as `ops/up` does."""
    with Stack(replace(options, controls=True)) as stack:
        watching = threading.Thread(target=stack.watch)
        watching.start()
        try:
            yield stack
        finally:
            stack.ask_to_stop()
            watching.join()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with watched(StackOptions.on_reserved_ports(tmp_path_factory.mktemp("stack"))) as running:
        yield running


def asking(stack: Stack) -> Ask:
    assert stack.controls is not None
    url = stack.controls.url

    def ask(method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> HttpAnswer:
        content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        with open_connection(url) as connection:
            return connection.ask(method, path, content, headers)

    return ask


@pytest.fixture
def ask(stack: Stack) -> Ask:
    return asking(stack)


@pytest.fixture
def restored(ask: Ask) -> Iterator[None]:
    """Puts right afterwards what a test has disturbed."""
    yield
    assert ask("PUT", "/load", {"rate": 0}).status == 200
    for name in ("default", "fallback"):
        assert ask("PUT", f"/processors/{name}", WORKS).status == 200
        assert ask("PUT", f"/breakers/{name}", {"state": "automatic"}).status == 200


def state(ask: Ask) -> dict[str, Any]:
    answer = ask("GET", "/")
    assert answer.status == 200
    found: dict[str, Any] = json.loads(answer.body)
    return found


def told(answer: HttpAnswer) -> Any:  # noqa: ANN401 - a test knows what it asked for
    return json.loads(answer.body)


def test_at_rest_nothing_is_offered_or_disturbed_and_all_replicas_run(ask: Ask) -> None:
    wait_until(lambda: set(state(ask)["replicas"].values()) == {"running"})
    assert state(ask) == {
        "load": IDLE,
        "processors": {"default": WORKS, "fallback": WORKS},
        "replicas": {"1": "running", "2": "running", "3": "running"},
        "breakers": ["default", "fallback"],
    }


@pytest.mark.usefixtures("restored")
def test_replicas_know_where_the_controls_are_and_allow_breakers_to_be_forced(stack: Stack, ask: Ask) -> None:
    assert stack.controls is not None
    environment = stack.replica_environment()
    assert (environment["CONTROLS_URL"], environment["ALLOW_FORCE"]) == (stack.controls.url, "1")
    assert stack.controls.url.startswith("http://127.0.0.1:")
    answer = ask("PUT", "/breakers/default", {"state": "forced-open"})
    assert (answer.status, told(answer)["of"]) == (200, 3)
    wait_until(lambda: {breaker_state(url) for url in stack.replica_urls} == {"forced-open"})


@pytest.mark.usefixtures("restored")
def test_a_load_is_offered_at_its_rate_to_every_replica_until_it_is_stopped(stack: Stack, ask: Ask) -> None:
    before = state(ask)["load"]
    answer = ask("PUT", "/load", {"rate": 100})
    assert (answer.status, told(answer)["load"]["rate"]) == (200, 100)
    wait_until(lambda: state(ask)["load"]["sent"] >= before["sent"] + 100)
    assert told(ask("PUT", "/load", {"rate": 0}))["load"]["rate"] == 0
    wait_until(lambda: is_answered(state(ask)["load"]))
    load = state(ask)["load"]
    assert load["failed"] == before["failed"]
    posted = [metric(url, 'fiel_payments_posted_total{answer="accepted"}') for url in stack.replica_urls]
    assert sum(posted) >= load["accepted"] - before["accepted"]
    assert all(posted)


def breaker_state(url: str) -> str:
    return str(json.loads(get(f"{url}/processors")[1])["default"]["breaker"]["state"])


def is_answered(load: Mapping[str, int]) -> bool:
    return load["sent"] == load["accepted"] + load["failed"]


def metric(url: str, name: str) -> float:
    lines = get(f"{url}/metrics")[1].decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


@pytest.mark.usefixtures("restored")
def test_a_pulled_plug_refuses_connections_until_it_is_put_back(stack: Stack, ask: Ask) -> None:
    simulator = stack.simulator("default")
    pulled = told(ask("PUT", "/processors/default", {"plug": False}))["processors"]
    assert pulled == {"default": {**WORKS, "plug": False}, "fallback": WORKS}
    with pytest.raises(NoAnswerError, match="refused"):
        get(f"{simulator.url}/payments/service-health")
    back = told(ask("PUT", "/processors/default", {"plug": True}))["processors"]
    assert back == {"default": WORKS, "fallback": WORKS}
    assert get(f"{simulator.url}/payments/none")[0] == 404


@pytest.mark.usefixtures("restored")
def test_a_processor_is_delayed_and_fails_in_part_and_as_a_whole(stack: Stack, ask: Ask) -> None:
    def configured() -> tuple[int, bool, float]:
        url = stack.simulator("fallback").admin_url
        settings = json.loads(administer(url, "GET", "/admin/configurations"))
        faults = json.loads(administer(url, "GET", "/admin/faults"))
        return settings["delay"], settings["failure"], faults["failureRate"]

    answer = told(ask("PUT", "/processors/fallback", {"delayMs": 700, "failureShare": 0.4}))
    assert answer["processors"]["fallback"] == {"plug": True, "delayMs": 700, "failureShare": 0.4}
    assert configured() == (700, False, 0.4)
    assert told(ask("PUT", "/processors/fallback", {"failureShare": 1}))["processors"]["fallback"] == {
        "plug": True,
        "delayMs": 700,
        "failureShare": 1.0,
    }
    assert configured() == (700, True, 1.0)
    assert told(ask("PUT", "/processors/fallback", {"failureShare": 0}))["processors"]["fallback"]["delayMs"] == 700
    assert configured() == (700, False, 0.0)


@pytest.mark.usefixtures("restored")
def test_faults_that_others_have_set_stay_and_are_told(stack: Stack, ask: Ask) -> None:
    url = stack.simulator("default").admin_url
    administer(url, "PUT", "/admin/faults", b'{"declineRate": 0.25, "failureRate": 0.5}')
    try:
        assert state(ask)["processors"]["default"]["failureShare"] == 0.5
        ask("PUT", "/processors/default", {"failureShare": 0.1})
        faults = json.loads(administer(url, "GET", "/admin/faults"))
        assert (faults["declineRate"], faults["failureRate"]) == (0.25, 0.1)
    finally:
        administer(url, "PUT", "/admin/faults", b"{}")


def test_a_processor_that_asks_for_another_token_cannot_be_changed_and_is_told_as_before(
    stack: Stack, ask: Ask
) -> None:
    url = stack.simulator("default").admin_url
    with open_connection(url) as connection:
        path, token = "/admin/configurations/token", "X-Rinha-Token"
        assert connection.ask("PUT", path, b'{"token": "other"}', {token: "123"}).status == 204
        refused = ask("PUT", "/processors/default", {"delayMs": 5})
        known = state(ask)["processors"]["default"]
        assert connection.ask("PUT", path, b'{"token": "123"}', {token: "other"}).status == 204
    assert (refused.status, known) == (503, WORKS)
    assert "another token" in told(refused)["detail"]


def test_a_killed_replica_is_dead_when_the_answer_comes_and_returns(stack: Stack, ask: Ask) -> None:
    replica = stack.replica(2)
    first = replica.pid
    wait_until(lambda: state(ask)["replicas"]["2"] == "running")
    answer = ask("POST", "/replicas/2/kill")
    assert (answer.status, told(answer)["replicas"]["2"]) == (200, "killed")
    wait_until(lambda: state(ask)["replicas"] == {"1": "running", "2": "running", "3": "running"})
    assert replica.pid not in (None, first)
    assert replica.ready()


def test_the_controls_themselves_come_back_at_the_same_address(stack: Stack, ask: Ask) -> None:
    assert stack.controls is not None
    first = stack.controls.pid
    stack.controls.kill()
    wait_until(lambda: set(state(ask)["replicas"].values()) == {"running"})
    assert stack.controls.pid not in (None, first)


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("PUT", "/load", {"rate": 501}, "rate"),
        ("PUT", "/load", {"rate": -1}, "rate"),
        ("PUT", "/load", {"rate": "fast"}, "rate"),
        ("PUT", "/load", {"rate": 1, "burst": 2}, "body"),
        ("PUT", "/load", {}, "body"),
        ("PUT", "/load", b'{"rate": 1, "rate": 2}', "rate"),
        ("PUT", "/load", b"{", "body"),
        ("PUT", "/load", b"\xff", "body"),
        ("PUT", "/load", None, "body"),
        ("PUT", "/processors/default", {"plug": 0}, "plug"),
        ("PUT", "/processors/default", {"delayMs": 10_001}, "delayMs"),
        ("PUT", "/processors/default", {"delayMs": -1}, "delayMs"),
        ("PUT", "/processors/default", {"failureShare": 1.01}, "failureShare"),
        ("PUT", "/processors/default", {"failureShare": -0.01}, "failureShare"),
        ("PUT", "/processors/default", [], "body"),
        ("PUT", "/breakers/default", {"state": "broken"}, "state"),
    ],
)
def test_a_bad_value_is_a_problem_that_names_its_field_and_changes_nothing(
    ask: Ask, method: str, path: str, body: object, field: str
) -> None:
    before = state(ask)
    answer = ask(method, path, body)
    assert (answer.status, told(answer)["field"]) == (400, field)
    assert answer.headers["content-type"] == "application/problem+json"
    assert state(ask) == before


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/processors/third", 404),
        ("POST", "/replicas/4/kill", 404),
        ("POST", "/replicas/x/kill", 404),
        ("PUT", "/breakers/third", 404),
        ("GET", "/nothing", 404),
        ("DELETE", "/load", 405),
        ("PUT", "/replicas/1/kill", 405),
    ],
)
def test_unknown_names_and_methods_are_problems(ask: Ask, method: str, path: str, status: int) -> None:
    answer = ask(method, path, {})
    assert (answer.status, told(answer)["status"]) == (status, status)


def test_the_live_page_may_ask_from_both_names_of_this_machine(stack: Stack, ask: Ask) -> None:
    for name in ("localhost", "127.0.0.1"):
        origin = f"http://{name}:{stack.options.port}"
        asked = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "content-type"}
        allowed = ask("OPTIONS", "/load", headers={"Origin": origin, **asked})
        assert allowed.status == 200
        assert allowed.headers["access-control-allow-origin"] == origin
        assert "PUT" in allowed.headers["access-control-allow-methods"]
        assert allowed.headers["access-control-allow-headers"] == "content-type"
        answer = ask("GET", "/", headers={"Origin": origin})
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, origin)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://localhost:{port}"},
        {"Origin": "http://localhost:1"},
        {"Origin": "http://localhost:{port}.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "evil.example"},
        {"Host": "evil.example:{controls}"},
        {"Host": "localhost"},
    ],
)
@pytest.mark.parametrize(("method", "path", "body"), [("GET", "/", None), ("PUT", "/load", {"rate": 1})])
def test_other_pages_and_other_names_are_refused(
    stack: Stack, ask: Ask, headers: Mapping[str, str], method: str, path: str, body: object
) -> None:
    assert stack.controls is not None
    ports = {"port": stack.options.port, "controls": stack.controls.url.rpartition(":")[2]}
    answer = ask(method, path, body, {name: value.format(**ports) for name, value in headers.items()})
    assert (answer.status, told(answer)["status"]) == (403, 403)
    assert "access-control-allow-origin" not in answer.headers
    assert state(ask)["load"]["rate"] == 0


def test_with_processors_of_others_there_are_load_breakers_and_kill_alone(tmp_path: Path) -> None:
    options = StackOptions.on_reserved_ports(tmp_path)
    names = zip(("first", "second"), options.processor_ports, strict=True)
    processors = " ".join(f"{name}=http://127.0.0.1:{port},0.05" for name, port in names)
    with watched(replace(options, processors=processors, replicas=1)) as stack:
        ask = asking(stack)
        wait_until(lambda: state(ask)["replicas"] == {"1": "running"})
        assert state(ask) == {
            "load": IDLE,
            "processors": {},
            "replicas": {"1": "running"},
            "breakers": ["first", "second"],
        }
        assert ask("PUT", "/processors/first", {"plug": False}).status == 404
        assert ask("PUT", "/breakers/first", {"state": "forced-open"}).status == 200
        assert told(ask("POST", "/replicas/1/kill"))["replicas"] == {"1": "killed"}


def test_an_order_for_a_breaker_that_no_replica_takes_is_told(tmp_path: Path) -> None:
    options = StackOptions.on_reserved_ports(tmp_path, {"ALLOW_FORCE": "0"})
    with watched(replace(options, replicas=1)) as stack:
        ask = asking(stack)
        forbidden = ask("PUT", "/breakers/default", {"state": "forced-open"})
        assert (forbidden.status, told(forbidden)["title"]) == (403, "Not permitted")
        assert forbidden.headers["content-type"] == "application/problem+json"
        stack.replica(1).pause()
        away = ask("PUT", "/breakers/default", {"state": "forced-open"})
        stack.replica(1).resume()
        assert (away.status, away.headers["retry-after"]) == (503, "1")
        assert "the gateway does not answer" in told(away)["detail"]
