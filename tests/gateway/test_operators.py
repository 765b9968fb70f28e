"""Who may resolve payments, force breakers and purge."""

import logging

import falcon.testing
import pytest

from actors.domain.outage_log import REMIND_S
from gateway.app import create_app
from gateway.operators import OperatorRight, Operators
from gateway.problems import ProblemError
from tests.gateway.fake_gateway import FakeGateway, client_of
from tests.lines import lines

TOKEN = "correct-horse-battery"
ID = "4a7901b8-7d26-4d9d-aa19-4dc1c7cf60b3"
FAR = "192.0.2.7"
REQUESTS = {
    "resolve": ("POST", f"/payments/{ID}/resolution", b'{"chargedBy": null}'),
    "force": ("PUT", "/processors/default/breaker", b'{"state": "automatic"}'),
    "purge": ("POST", "/purge-payments", b""),
}


@pytest.fixture(params=REQUESTS)
def right(request: pytest.FixtureRequest) -> str:
    """What is for operators alone."""
    name: str = request.param
    return name


def app_of(gateway: FakeGateway, token: str = TOKEN, *, allowed: bool = False) -> falcon.testing.TestClient:
    app = create_app(
        gateway,
        gateway,
        gateway,
        gateway,
        allow_purge=allowed,
        allow_force=allowed,
        allow_resolve=allowed,
        admin_token=token,
    )
    return client_of(app)


def ask(client: falcon.testing.TestClient, right: str, address: str = FAR, **headers: str) -> falcon.testing.Result:
    method, path, body = REQUESTS[right]
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.simulate_request(method, path, body=body, headers=fields, remote_addr=address)


def changes(gateway: FakeGateway) -> int:
    return len(gateway.findings) + len(gateway.forced) + gateway.purges


@pytest.mark.parametrize("address", [FAR, "127.0.0.1"])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_the_token_opens_everything_from_anywhere(gateway: FakeGateway, right: str, address: str, scheme: str) -> None:
    answer = ask(app_of(gateway), right, address, Authorization=f"{scheme} {TOKEN}")
    assert (answer.status_code in {200, 204}, changes(gateway)) == (True, 1)


@pytest.mark.parametrize("given", [None, f"Basic {TOKEN}", "Bearer", "Bearer x", f"Bearer {TOKEN}x", "Bearer \xe4"])
def test_without_the_token_a_request_is_asked_for_it(gateway: FakeGateway, right: str, given: str | None) -> None:
    answer = ask(app_of(gateway), right, **({} if given is None else {"Authorization": given}))
    assert (answer.status_code, answer.json["type"], changes(gateway)) == (401, "/problems/token-required", 0)
    is_wrong = given is not None and given.startswith("Bearer")
    assert ('error="invalid_token"' in answer.headers["www-authenticate"]) == is_wrong
    assert TOKEN not in answer.text


def test_a_gateway_without_a_token_refuses_what_comes_from_elsewhere(gateway: FakeGateway, right: str) -> None:
    answer = ask(app_of(gateway, token=""), right, Authorization="Bearer ")
    assert (answer.status_code, answer.json["type"], changes(gateway)) == (403, "/problems/not-permitted", 0)


@pytest.mark.parametrize("token", [TOKEN, ""])
def test_what_the_settings_allow_needs_no_token_on_this_machine(gateway: FakeGateway, right: str, token: str) -> None:
    answer = ask(app_of(gateway, token, allowed=True), right, "127.0.0.1")
    assert (answer.status_code in {200, 204}, changes(gateway)) == (True, 1)


@pytest.mark.parametrize(("token", "status"), [(TOKEN, 401), ("", 403)])
def test_what_the_settings_allow_stays_closed_to_other_machines_except_a_purge(
    gateway: FakeGateway, right: str, token: str, status: int
) -> None:
    answer = ask(app_of(gateway, token, allowed=True), right)
    assert answer.status_code == (204 if right == "purge" else status)


@pytest.mark.parametrize(("token", "status"), [(TOKEN, 401), ("", 403)])
@pytest.mark.parametrize(
    "proxied",
    [
        *({"X_Forwarded_For": value} for value in (FAR, "")),
        *({"Forwarded": value} for value in (f"for={FAR}", "for=[2001:db8::1]", "garbage", ",", "")),
    ],
)
@pytest.mark.parametrize("right", ["resolve", "force"])
def test_a_proxy_on_this_machine_lends_its_clients_nothing(
    gateway: FakeGateway, right: str, token: str, status: int, proxied: dict[str, str]
) -> None:
    answer = ask(app_of(gateway, token, allowed=True), right, "127.0.0.1", **proxied)
    assert (answer.status_code, changes(gateway)) == (status, 0)


@pytest.mark.parametrize("right", ["resolve", "force"])
@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        *(
            (name, True)
            for name in ("localhost", "LOCALHOST:9999", "127.0.0.1:9999", "[::1]:9999", "[::1]", "10.0.0.7")
        ),
        *(
            (name, False)
            for name in ("evil.example:9999", "localhost.evil.example", "127.0.0.1.evil.example", "[x]", "")
        ),
    ],
)
def test_a_name_that_its_owner_lets_lead_here_is_not_this_machine(
    gateway: FakeGateway, right: str, host: str, *, is_local: bool
) -> None:
    # A browser shows such a page to be of the same origin as this gateway.
    answer = ask(app_of(gateway, allowed=True), right, "127.0.0.1", Host=host, Origin=f"http://{host}")
    assert changes(gateway) == is_local
    assert answer.status_code == 200 if is_local else answer.status_code in {401, 403}


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://localhost:8080"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_another_page_in_the_browser_may_nothing_even_where_all_is_allowed(
    gateway: FakeGateway, right: str, headers: dict[str, str]
) -> None:
    client = app_of(gateway, allowed=True)
    for given in (headers, headers | {"Authorization": f"Bearer {TOKEN}"}):
        answer = ask(client, right, "127.0.0.1", **given)
        assert (answer.status_code, answer.json["type"], changes(gateway)) == (403, "/problems/foreign-page", 0)


@pytest.mark.parametrize("headers", [{"Origin": "http://localhost:9999"}, {"Sec_Fetch_Site": "same-origin"}])
def test_the_gateways_own_page_may(gateway: FakeGateway, right: str, headers: dict[str, str]) -> None:
    answer = ask(app_of(gateway, allowed=True), right, "127.0.0.1", **headers)
    assert (answer.status_code in {200, 204}, changes(gateway)) == (True, 1)


def test_an_order_is_logged_with_who_gave_it(
    gateway: FakeGateway, right: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        ask(app_of(gateway), right, Authorization=f"Bearer {TOKEN}")
        ask(app_of(gateway), right)
    (told,) = lines(caplog, "order", "remote")
    assert told == ("an operator gave an order", right, FAR)


def test_wrong_tokens_are_logged_with_their_number_and_never_their_value(caplog: pytest.LogCaptureFixture) -> None:
    now_s = 0.0
    operators = Operators(TOKEN, now_s=lambda: now_s)
    environ = falcon.testing.create_environ(headers={"Authorization": "Bearer guessed-secret"}, remote_addr=FAR)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            with pytest.raises(ProblemError):
                operators.check(falcon.Request(environ), OperatorRight.FORCE)
        assert len(caplog.records) == 1
        now_s += REMIND_S
        with pytest.raises(ProblemError):
            operators.check(falcon.Request(environ), OperatorRight.FORCE)
    event = "a request came with a wrong ADMIN_TOKEN"
    assert lines(caplog, "count", "remote", "right") == [(event, None, FAR, "force"), (event, 3, FAR, "force")]
    assert not any(secret in caplog.text for secret in ("guessed", TOKEN))
