"""`GET /openapi.json` describes what the gateway does."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import falcon.testing
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from gateway import app
from gateway.openapi import document
from gateway.openapi.model import DescribedAnswer, Operation, both
from gateway.problem_types import ProblemType
from tests.gateway.fake_gateway import FakeGateway

ROUTES = re.findall(r'app\.add_route\("([^"]+)"', Path(app.__file__).read_text())
DOCUMENT = document.make_document()
PARAMETER = re.compile(r"\{[^}]*\}")
Described = dict[str, Any]


def described() -> Iterator[tuple[str, str, Described]]:
    """Every operation with its path and method."""
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_the_document_is_valid_and_in_version_3_1(client: falcon.testing.TestClient) -> None:
    answer = client.simulate_get("/openapi.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert [str(error) for error in OpenAPIV31SpecValidator(answer.json).iter_errors()] == []
    assert answer.json == json.loads(document.encoded_document())
    again = client.simulate_get("/openapi.json", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_every_route_is_described_and_nothing_else_is() -> None:
    assert {PARAMETER.sub("{}", path) for path in DOCUMENT["paths"]} == {PARAMETER.sub("{}", path) for path in ROUTES}


def test_every_method_is_described_that_a_path_takes_beside_head_and_options(client: falcon.testing.TestClient) -> None:
    for path, methods in DOCUMENT["paths"].items():
        allowed = client.simulate_options(PARAMETER.sub("x", path)).headers["allow"].split(", ")
        assert {method.upper() for method in methods} == {*allowed} - {"HEAD", "OPTIONS"}


def test_names_of_operations_are_unique() -> None:
    names = [operation["operationId"] for _, _, operation in described()]
    assert len(names) == len(set(names))


def test_every_kind_of_problem_is_the_answer_of_some_operation_or_of_a_wrong_method() -> None:
    text = json.dumps([operation["responses"] for _, _, operation in described()])
    missing = [
        kind for kind in ProblemType if f"responses/{kind.value.name}" not in text and f'"{kind.uri}"' not in text
    ]
    assert missing == [ProblemType.METHOD_NOT_ALLOWED]


def test_every_example_is_what_its_schema_describes() -> None:
    examples = 0
    for path, method, operation in described():
        bodies = [
            operation.get("requestBody", {}),
            *operation["responses"].values(),
            *DOCUMENT["components"]["responses"].values(),
        ]
        contents = [content for body in bodies for content in body.get("content", {}).values()]
        given = [
            (content["schema"], example)
            for content in contents
            for example in [
                *([content["example"]] if "example" in content else []),
                *(each["value"] for each in content.get("examples", {}).values()),
            ]
        ]
        given += [(each["schema"], each["example"]) for each in operation["parameters"] if "example" in each]
        for schema, example in given:
            examples += 1
            errors = Draft202012Validator({**schema, "components": DOCUMENT["components"]}).iter_errors(example)
            assert (path, method, [error.message for error in errors]) == (path, method, [])
    assert examples > 20


def test_a_field_that_a_type_gains_stands_in_the_document(monkeypatch: pytest.MonkeyPatch) -> None:
    class Grown(TypedDict):
        """An answer that has changed."""

        added: NotRequired[int]

    operation = Operation(
        method="get",
        path="/grown",
        name="getGrown",
        tag="Payments",
        summary="Grown",
        answers=(DescribedAnswer(status=200, description="Grown.", content=both(Grown)),),
    )
    monkeypatch.setattr(document, "ALL_OPERATIONS", (operation,))
    made = document.make_document()
    assert made["components"]["schemas"]["Grown"]["properties"] == {"added": {"type": "integer"}}
    schema = made["paths"]["/grown"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/Grown"}


def test_a_gateway_that_nobody_asks_for_it_does_not_load_the_description() -> None:
    script = (
        "import sys; import gateway.main;"
        "print([name for name in sys.modules if name.startswith('gateway.openapi.') and not name.endswith('resource')])"
    )
    done = subprocess.run(  # noqa: S603  # our own script
        [sys.executable, "-c", script],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout.strip() == "[]"


def closed(schema: Any) -> Any:  # noqa: ANN401  # a schema, or a part of one
    """Allow a schema's objects no members beside those that it names."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: closed(value) for key, value in schema.items()}
    return {"additionalProperties": False, **inner} if "properties" in inner else inner


@pytest.mark.parametrize(
    "path", ["/status", "/processors", "/livez", "/readyz", "/payments-summary", "/payments?state=settled"]
)
def test_what_is_answered_is_described_to_the_last_member(
    client: falcon.testing.TestClient, gateway: FakeGateway, path: str
) -> None:
    components = closed(DOCUMENT["components"])
    answer = client.simulate_get(path)
    response = DOCUMENT["paths"][path.partition("?")[0]]["get"]["responses"][str(answer.status_code)]
    schema = closed(response["content"]["application/json"]["schema"])
    errors = Draft202012Validator({**schema, "components": components}).iter_errors(answer.json)
    assert [error.message for error in errors] == []
    assert gateway.error is None
