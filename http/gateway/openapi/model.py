"""The parts of an operation's description, before they are written in OpenAPI's form."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.media import JSON, MSGPACK
from gateway.problem_types import ProblemType

Schema = dict[str, Any]
BOTH = (JSON, MSGPACK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A part of the path or the query, or a header field."""

    name: str
    place: str
    """`path`, `query` or `header`."""
    description: str
    schema: Schema
    example: object = None
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A body in one or several media types."""

    types: Mapping[str, Any]
    """The Python type or the schema of each media type."""
    example: object = None


def both(kind: Any, example: object = None) -> Content:  # noqa: ANN401  # a type, or a schema
    """Describe a body that may be JSON or MessagePack."""
    return Content(types=dict.fromkeys(BOTH, kind), example=example)


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedAnswer:
    """An answer that is no problem."""

    status: int
    description: str
    content: Content | None = None
    headers: tuple[str, ...] = ()
    """Names of fields in `HEADERS`."""


def negotiated(
    description: str,
    kind: Any,  # noqa: ANN401  # a type, or a schema
    *,
    status: int = 200,
    headers: tuple[str, ...] = (),
    example: object = None,
) -> DescribedAnswer:
    """Describe an answer that is JSON or MessagePack, as its client prefers."""
    return DescribedAnswer(
        status=status, description=description, content=both(kind, example), headers=("Vary", *headers)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A method of a path."""

    method: str
    path: str
    name: str
    """The `operationId`, unique and never changed: generated clients name their functions by it."""
    tag: str
    summary: str
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    request: Content | None = None
    answers: tuple[DescribedAnswer, ...] = ()
    problems: tuple[ProblemType, ...] = ()
    """Kinds of errors beside those that every operation has."""
    is_for_operators: bool = False
