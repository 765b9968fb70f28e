import falcon.testing
import msgpack
import pytest

PROBLEM = "application/problem+json"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/payments", "GET, HEAD, POST"),
        ("DELETE", "/payments", "GET, HEAD, POST"),
        ("POST", "/payments/c56a4180-65aa-42ec-a945-5fd21dec0538", "GET, HEAD"),
        ("POST", "/payments-summary", "GET, HEAD"),
        ("GET", "/purge-payments", "POST"),
        ("POST", "/processors", "GET, HEAD"),
        ("POST", "/processors/default/breaker", "PUT"),
        ("POST", "/livez", "GET, HEAD"),
        ("POST", "/readyz", "GET, HEAD"),
        ("POST", "/metrics", "GET, HEAD"),
        ("POST", "/", "GET, HEAD"),
    ],
)
def test_a_wrong_method_is_told_the_right_one(
    client: falcon.testing.TestClient, method: str, path: str, allowed: str
) -> None:
    answer = client.simulate_request(method, path)
    assert (answer.status_code, answer.headers["content-type"], answer.json["status"]) == (405, PROBLEM, 405)
    assert {*allowed.split(", "), "OPTIONS"} == set(answer.headers["allow"].split(", "))


@pytest.mark.parametrize("path", ["/nowhere", "/payments/1/2", "/%FF", "/payments-summary/", "/index.html"])
def test_an_unknown_path_is_not_found(client: falcon.testing.TestClient, path: str) -> None:
    answer = client.simulate_get(path)
    assert answer.json == {"type": "about:blank", "title": "Not Found", "status": 404}
    assert (answer.status_code, answer.headers["content-type"]) == (404, PROBLEM)


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("*/*", PROBLEM),
        ("application/json", PROBLEM),
        ("application/problem+json", PROBLEM),
        ("text/html", PROBLEM),
        ("no type", PROBLEM),
        ("application/problem+json, application/msgpack;q=0.5", PROBLEM),
        ("application/msgpack", "application/problem+msgpack"),
        ("application/x-msgpack", "application/problem+msgpack"),
        ("application/problem+msgpack", "application/problem+msgpack"),
        ("application/json;q=0.5, application/msgpack", "application/problem+msgpack"),
    ],
)
def test_a_problem_comes_in_the_form_that_the_client_prefers(
    client: falcon.testing.TestClient, accept: str, content_type: str
) -> None:
    answer = client.simulate_get("/payments/1", headers={"Accept": accept})
    assert content_type == answer.headers["content-type"]
    problem = answer.json if content_type == PROBLEM else msgpack.unpackb(answer.content)
    assert problem == {
        "type": "about:blank",
        "title": "Invalid request",
        "status": 400,
        "detail": "correlationId: must be a UUID",
        "field": "correlationId",
    }
