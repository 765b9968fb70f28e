"""`GET /processors` and `PUT /processors/{name}/breaker`: states of processors, and breakers forced by operators."""

from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Protocol

import falcon
import msgspec

from actors.domain.breaker import BreakerState
from actors.domain.instant import iso_from_ms
from actors.messages.health import OrderReach
from actors.messages.processor import ProcessorStatus
from gateway.answers import BreakerChange, OrderReached, ProcessorAnswer, told
from gateway.media import write_body
from gateway.operators import OperatorRight, Operators, note_order
from gateway.payment_body import is_msgpack_body, read_body
from gateway.problem_types import ProblemType
from gateway.problems import InvalidFieldError, ProblemError
from gateway.repeated_keys import refuse_repeated_keys


class ProcessorsGateway(Protocol):
    """What the processors' endpoints need of the gateway."""

    def processors(self) -> Mapping[str, ProcessorStatus]:
        """Tell what is known of each processor, by name."""

    def force_breaker(self, processor: str, state: BreakerState | None) -> OrderReach | None:
        """Hold a breaker on all replicas, or release it with None; None where there is no such processor."""


class Wanted(Enum):
    """What an operator may ask of a breaker."""

    FORCED_OPEN = BreakerState.FORCED_OPEN.value
    FORCED_CLOSED = BreakerState.FORCED_CLOSED.value
    AUTOMATIC = "automatic"

    @property
    def state(self) -> BreakerState | None:
        """Give the state to hold the breaker in; None lets it decide by itself."""
        return None if self is Wanted.AUTOMATIC else BreakerState(self.value)


class BreakerOrder(msgspec.Struct):
    """What an operator wants of a breaker."""

    state: Annotated[Wanted, told("The state to hold it in; `automatic` lets it decide by itself.", "forced-open")]


class ProcessorsResource:
    """Tells what this replica knows of the processors."""

    def __init__(self, gateway: ProcessorsGateway) -> None:
        self._gateway = gateway

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer a map by name: the breaker with its latest changes, charges under way and their limit, the latency."""
        write_body(req, resp, {name: _describe(status) for name, status in self._gateway.processors().items()})


class BreakerResource:
    """Lets an operator force a breaker."""

    def __init__(self, gateway: ProcessorsGateway, operators: Operators) -> None:
        self._gateway = gateway
        self._operators = operators

    def on_put(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Force a breaker here at once, and within half a second on the replicas that are connected through Redis.

        Answers how many replicas hold the order, and how many live: those that have a lease in Postgres, or whose
        opinions are read in Redis.

        A replica whose actors restart learns the forced state from the others, whose opinions stay in Redis for two
        seconds. It is lost when no replica has worked for longer than that, or when there is only one.
        """
        self._operators.check(req, OperatorRight.FORCE)
        wanted = _read_order(req)
        reach = self._gateway.force_breaker(name, wanted.state)
        if reach is None:
            raise ProblemError(ProblemType.UNKNOWN_PROCESSOR, f"there is no processor {name}")
        note_order(req, OperatorRight.FORCE, processor=name, state=wanted.value)
        reached: OrderReached = {"replicas": reach.replicas, "of": reach.of}
        write_body(req, resp, reached)


def _read_order(req: falcon.Request) -> Wanted:
    is_msgpack, body = is_msgpack_body(req), read_body(req)
    decode = msgspec.msgpack.decode if is_msgpack else msgspec.json.decode
    try:
        wanted = decode(body, type=BreakerOrder).state
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        if "state" not in str(error):
            raise InvalidFieldError("body", "cannot be read as a map with a state") from error
        choices = ", ".join(each.value for each in Wanted)
        raise InvalidFieldError("state", f"must be one of {choices}") from error
    refuse_repeated_keys(body, is_msgpack=is_msgpack)
    return wanted


def _describe(status: ProcessorStatus) -> ProcessorAnswer:
    changes: list[BreakerChange] = [
        {
            "at": iso_from_ms(dated.at_ms),
            "from": dated.transition.before.value,
            "to": dated.transition.after.value,
            "cause": dated.transition.cause.value,
        }
        for dated in status.transitions
    ]
    return {
        "charges": status.charges,
        "breaker": {"state": status.state.value, "changes": changes},
        "underWay": status.under_way,
        "limit": status.limit,
        "latencyMs": None if status.latency_s is None else round(status.latency_s * 1000, 1),
        "startsPerSecondMax": round(status.starts_per_s_max, 1),
    }
