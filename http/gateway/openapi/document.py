"""Puts the description together: operations, the schemas of their types, and what all of them share."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from actors.domain.version import VERSION
from gateway.openapi.model import Content, DescribedAnswer, Operation, Parameter, Schema
from gateway.openapi.operations import FOR_OPERATORS, PAYMENTS, PROCESSORS, SUMMARIES
from gateway.openapi.pages import OPERATIONS
from gateway.openapi.parameters import HEADERS, REQUEST_ID
from gateway.openapi.texts import INTRODUCTION, TAGS
from gateway.problem_types import ProblemDetails, ProblemType

PROBLEM_MEDIA = ("application/problem+json", "application/problem+msgpack")
TOKEN = "adminToken"  # noqa: S105  # the name of a scheme
EVERYWHERE = (
    ProblemType.MALFORMED_HTTP,
    ProblemType.REQUEST_TIMEOUT,
    ProblemType.TARGET_TOO_LONG,
    ProblemType.EXPECTATION_FAILED,
    ProblemType.HEAD_TOO_LARGE,
    ProblemType.INTERNAL_ERROR,
    ProblemType.NOT_IMPLEMENTED,
    ProblemType.HTTP_VERSION,
)
"""What the server refuses before any operation sees it."""
ALL_OPERATIONS: tuple[Operation, ...] = (*PAYMENTS, *SUMMARIES, *PROCESSORS, *OPERATIONS)


def encoded_document() -> bytes:
    """Write the description as JSON."""
    return msgspec.json.encode(make_document())


def make_document() -> Schema:
    """Make the description of the whole API."""
    types = _Types(ALL_OPERATIONS)
    paths: dict[str, dict[str, Schema]] = {}
    for operation in ALL_OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation, types)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Fiel",
            "version": VERSION,
            "description": INTRODUCTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "The gateway that answers this."}],
        "tags": [{"name": name, "description": description} for name, description in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": types.components,
            "headers": {
                name: {"description": description, "schema": schema} for name, (description, schema) in HEADERS.items()
            },
            "responses": {kind.value.name: _problems([kind], types) for kind in ProblemType},
            "parameters": {REQUEST_ID.name: _parameter(REQUEST_ID)},
            "securitySchemes": {
                TOKEN: {"type": "http", "scheme": "bearer", "description": "The gateway's `ADMIN_TOKEN`."}
            },
        },
    }


class _Types:
    """The schemas of all types that operations name."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        kinds = list(dict.fromkeys([ProblemDetails, *_kinds(operations)]))
        schemas, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
        self._schemas = dict(zip(kinds, map(_numbers, schemas), strict=True))
        self.components = {name: _numbers(schema) for name, schema in sorted(components.items())}

    def schema(self, of: Any) -> Any:  # noqa: ANN401  # a type, or a schema with types in it
        """Write a type, or the types within a schema, as references."""
        if isinstance(of, type):
            return self._schemas[of]
        if isinstance(of, dict):
            return {key: self.schema(value) for key, value in of.items()}
        if isinstance(of, list):
            return [self.schema(value) for value in of]
        return of


def _kinds(operations: Iterable[Operation]) -> Iterator[type]:
    for operation in operations:
        contents = [operation.request, *(answer.content for answer in operation.answers)]
        for content in filter(None, contents):
            yield from _types_in(list(content.types.values()))


def _types_in(of: Any) -> Iterator[type]:  # noqa: ANN401  # a type, or a schema with types in it
    if isinstance(of, type):
        yield of
    elif isinstance(of, dict | list):
        for each in of.values() if isinstance(of, dict) else of:
            yield from _types_in(each)


def _numbers(schema: Any) -> Any:  # noqa: ANN401  # a schema, or a part of one
    """Make numbers of decimals, which `gateway.media` writes as such."""
    if isinstance(schema, list):
        return [_numbers(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    numbers = {key: _numbers(value) for key, value in schema.items()}
    return numbers | {"type": "number"} if numbers.get("format") == "decimal" else numbers


def _operation(operation: Operation, types: _Types) -> Schema:
    described: Schema = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "parameters": [
            *(_parameter(each) for each in operation.parameters),
            {"$ref": f"#/components/parameters/{REQUEST_ID.name}"},
        ],
        "responses": _responses(operation, types),
    }
    if operation.description:
        described["description"] = operation.description
    if operation.request:
        described["requestBody"] = {"required": True, "content": _content(operation.request, types)}
    if operation.is_for_operators:
        # The second, empty alternative: settings may allow requests without the token.
        described["security"] = [{TOKEN: []}, {}]
    return described


def _parameter(parameter: Parameter) -> Schema:
    described: Schema = {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.description,
        "required": parameter.required,
        "schema": parameter.schema,
    }
    return described if parameter.example is None else described | {"example": parameter.example}


def _responses(operation: Operation, types: _Types) -> Schema:
    responses = {str(answer.status): _answer(answer, types) for answer in operation.answers}
    kinds = (*operation.problems, *(FOR_OPERATORS if operation.is_for_operators else ()), *EVERYWHERE)
    for status in sorted({int(kind.value.status) for kind in kinds}):
        of_status = [kind for kind in ProblemType if kind in kinds and kind.value.status == status]
        if str(status) in responses:
            continue  # The probes answer 503 with what they tell.
        is_shared = len(of_status) == 1
        responses[str(status)] = (
            {"$ref": f"#/components/responses/{of_status[0].value.name}"} if is_shared else _problems(of_status, types)
        )
    return responses


def _answer(answer: DescribedAnswer, types: _Types) -> Schema:
    described: Schema = {"description": answer.description, "headers": _headers(*answer.headers)}
    return described | {"content": _content(answer.content, types)} if answer.content else described


def _problems(kinds: list[ProblemType], types: _Types) -> Schema:
    """Describe the answer to errors of one status."""
    examples = {
        kind.value.name: {
            "value": {
                "type": kind.uri,
                "title": kind.value.title,
                "status": int(kind.value.status),
                "detail": kind.value.meaning,
            }
        }
        for kind in kinds
    }
    schema = types.schema(ProblemDetails)
    headers = {
        ProblemType.TOKEN_REQUIRED: ("WWW-Authenticate",),
        ProblemType.UNAVAILABLE: ("Retry-After",),
        ProblemType.IN_DOUBT: ("Retry-After",),
        ProblemType.METHOD_NOT_ALLOWED: ("Allow",),
    }
    return {
        "description": " ".join(f"`{kind.value.name}`: {kind.value.meaning}" for kind in kinds),
        "headers": _headers(*(name for kind in kinds for name in headers.get(kind, ()))),
        "content": {
            PROBLEM_MEDIA[0]: {"schema": schema, "examples": examples},
            PROBLEM_MEDIA[1]: {"schema": schema},
        },
    }


def _headers(*names: str) -> Schema:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (*names, REQUEST_ID.name)}


def _content(content: Content, types: _Types) -> Schema:
    example = {} if content.example is None else {"example": content.example}
    return {media: {"schema": types.schema(kind), **example} for media, kind in content.types.items()}
