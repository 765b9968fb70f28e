import re
from html import escape

import falcon.testing
import msgpack
import pytest

from gateway.problem_types import ProblemType, problem_of_status

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
    assert answer.json["type"] == "/problems/method-not-allowed"


@pytest.mark.parametrize("path", ["/nowhere", "/payments/1/2", "/%FF", "/payments-summary/", "/index.html"])
def test_an_unknown_path_is_not_found(client: falcon.testing.TestClient, path: str) -> None:
    answer = client.simulate_get(path)
    assert answer.json == {"type": "/problems/not-found", "title": "Not found", "status": 404}
    assert (answer.status_code, answer.headers["content-type"]) == (404, PROBLEM)


@pytest.mark.parametrize("kind", ProblemType)
def test_every_kind_of_problem_leads_to_its_description(client: falcon.testing.TestClient, kind: ProblemType) -> None:
    answer = client.simulate_get(kind.uri)
    assert (answer.status_code, answer.headers["content-type"]) == (200, falcon.MEDIA_HTML)
    assert all(escape(text) in answer.text for text in (kind.value.title, kind.value.meaning, kind.value.remedy))
    assert f'href="{kind.uri}"' in client.simulate_get("/problems").text


def test_a_kind_that_there_is_not_is_not_found(client: falcon.testing.TestClient) -> None:
    assert client.simulate_get("/problems/nothing").json["type"] == "/problems/not-found"


def test_names_of_problems_are_parts_of_a_path_and_stand_once() -> None:
    names = [kind.value.name for kind in ProblemType]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", name) for name in names)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 408, 413, 414, 415, 417, 431, 500, 501, 503, 505])
def test_what_a_library_refuses_has_a_kind_of_its_status(status: int) -> None:
    kind = problem_of_status(status)
    assert kind is not None
    assert kind.value.status == status


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
        "type": "/problems/invalid-request",
        "title": "Invalid request",
        "status": 400,
        "detail": "correlationId: must be a UUID",
        "field": "correlationId",
    }
