"""Decides which faults are injected into which payment request; a seed makes the decisions repeatable."""

import math
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from random import Random
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

DELAY_MS_MAX = 600_000

Rate = Annotated[float, Meta(ge=0, le=1)]
Milliseconds = Annotated[float, Meta(ge=0, le=DELAY_MS_MAX)]
ErrorStatus = Annotated[int, Meta(ge=400, le=599)]

GARBAGE = (
    bytes(range(128, 192)),
    b"HTTP/1.1 banana\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4096\r\n\r\n{",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
)
"""Invalid answers: no HTTP at all, a broken status line, a truncated body, a broken chunk."""


class Fault(Enum):
    """The kinds of fault; the value is the name under which injected faults are counted."""

    FAILURE = "failure"
    """Answer 500 and book nothing."""
    COMMIT_THEN_DROP = "commitThenDrop"
    """Book the charge and close the connection without an answer."""
    COMMIT_THEN_HANG = "commitThenHang"
    """Book the charge and never answer; the connection stays open until the client leaves."""
    LATE_COMMIT = "lateCommit"
    """Close the connection without an answer, and book the charge some time later."""
    GARBAGE = "garbage"
    """Book the charge and answer with bytes that are no HTTP."""
    DRIP = "drip"
    """Book the charge and answer one byte at a time."""
    REFUSE = "refuse"
    """Close the port, so that connections are refused; counted once for each time it is closed."""
    DELAY = "delay"
    """Take longer than the configured delay, of which `service-health` says nothing."""
    EDGE = "edge"
    """Book the charge, and let a gateway in front of the processor answer with a status and a body of its own."""
    LATE_EDGE = "lateEdge"
    """Let a gateway in front of the processor answer at once, and book the charge some time later."""
    DECLINE = "decline"
    """Decline the payment whenever it is asked for: answer another status and book nothing."""
    OTHER_AMOUNT = "otherAmount"
    """Hold a charge of another amount under the id since a day before the payment was first asked for: answer 422."""
    FALSE_DUPLICATE = "falseDuplicate"
    """Answer 422 although no charge is held under the id, whenever the payment is asked for; book nothing."""


class FixedDelay(Struct, tag_field="kind", tag="fixed", frozen=True, forbid_unknown_fields=True):
    """A constant delay."""

    ms: Milliseconds

    def draw_ms(self, _rng: Random) -> float:
        """Draw one delay in milliseconds."""
        return self.ms


class UniformDelay(Struct, tag_field="kind", tag="uniform", frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A delay that is uniformly distributed between two bounds."""

    min_ms: Milliseconds
    max_ms: Milliseconds

    def __post_init__(self) -> None:
        """Check that the bounds are in order."""
        if self.min_ms > self.max_ms:
            raise ValueError("minMs is above maxMs")

    def draw_ms(self, rng: Random) -> float:
        """Draw one delay in milliseconds."""
        return rng.uniform(self.min_ms, self.max_ms)


class LognormalDelay(
    Struct, tag_field="kind", tag="lognormal", frozen=True, forbid_unknown_fields=True, rename="camel"
):
    """A lognormal delay: mostly short, with a long tail that is cut off at `max_ms`."""

    median_ms: Annotated[float, Meta(gt=0, le=DELAY_MS_MAX)]
    sigma: Annotated[float, Meta(ge=0, le=10)]
    max_ms: Milliseconds = DELAY_MS_MAX

    def draw_ms(self, rng: Random) -> float:
        """Draw one delay in milliseconds."""
        return min(self.max_ms, rng.lognormvariate(math.log(self.median_ms), self.sigma))


class Faults(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=False, rename="camel"):
    """The faults to inject: each request gets at most one of `rates`, and each id at most one of `rates_by_id`."""

    seed: int = 0
    failure_rate: Rate = 0
    commit_then_drop_rate: Rate = 0
    commit_then_hang_rate: Rate = 0
    late_commit_rate: Rate = 0
    late_commit_ms: Milliseconds = 1_000
    garbage_rate: Rate = 0
    drip_rate: Rate = 0
    drip_interval_ms: Milliseconds = 100
    refuse: bool = False
    edge_rate: Rate = 0
    late_edge_rate: Rate = 0
    edge_status: ErrorStatus = 503
    decline_rate: Rate = 0
    decline_status: ErrorStatus = 400
    other_amount_rate: Rate = 0
    false_duplicate_rate: Rate = 0
    delay: FixedDelay | UniformDelay | LognormalDelay | None = None

    def __post_init__(self) -> None:
        """Check that the rates of either kind add up to at most 1, and that HTTP knows the statuses."""
        for rates in (self.rates(), self.rates_by_id()):
            if math.fsum(rate for _, rate in rates) > 1:
                raise ValueError("the rates sum to more than 1")
        for status in (self.edge_status, self.decline_status):
            HTTPStatus(status)

    def rates(self) -> tuple[tuple[Fault, float], ...]:
        """Return each fault that is drawn anew for each request, with the share of requests that get it."""
        return (
            (Fault.FAILURE, self.failure_rate),
            (Fault.COMMIT_THEN_DROP, self.commit_then_drop_rate),
            (Fault.COMMIT_THEN_HANG, self.commit_then_hang_rate),
            (Fault.LATE_COMMIT, self.late_commit_rate),
            (Fault.GARBAGE, self.garbage_rate),
            (Fault.DRIP, self.drip_rate),
            (Fault.EDGE, self.edge_rate),
            (Fault.LATE_EDGE, self.late_edge_rate),
        )

    def rates_by_id(self) -> tuple[tuple[Fault, float], ...]:
        """Return each fault that a payment's id decides on, with the share of ids that get it."""
        return (
            (Fault.DECLINE, self.decline_rate),
            (Fault.OTHER_AMOUNT, self.other_amount_rate),
            (Fault.FALSE_DUPLICATE, self.false_duplicate_rate),
        )


@dataclass(frozen=True, slots=True)
class Injection:
    """What is injected into one payment request."""

    fault: Fault | None
    delay_ms: float
    garbage: bytes
    """The bytes to answer with if the fault is GARBAGE."""


class InjectionPlan:
    """Draws what is injected into one payment request after another."""

    def __init__(self, faults: Faults) -> None:
        self._delay = faults.delay
        self._thresholds = _thresholds(faults.rates())
        self._thresholds_by_id = _thresholds(faults.rates_by_id())
        # Two generators, so that adding a delay does not change which requests get which fault.
        self._fault_rng = Random(f"{faults.seed} faults")  # noqa: S311 - it has to repeat, not to be secret
        self._delay_rng = Random(f"{faults.seed} delays")  # noqa: S311 - it has to repeat, not to be secret

    def draw(self) -> Injection:
        """Draw what is injected into the next request."""
        draw = self._fault_rng.random()
        garbage = GARBAGE[int(self._fault_rng.random() * len(GARBAGE))]
        fault = _fault_at(draw, self._thresholds)
        delay_ms = self._delay.draw_ms(self._delay_rng) if self._delay else 0.0
        return Injection(fault, delay_ms, garbage)

    def fault_of_id(self, correlation_id: UUID) -> Fault | None:
        """Return the fault that a payment's id causes; it depends on the id and the rates, not on the seed.

        So a payment is declined every time, and by each processor whose rate is not lower, whatever else changes.
        """
        return _fault_at(zlib.crc32(correlation_id.bytes) / 2**32, self._thresholds_by_id)


def _thresholds(rates: Iterable[tuple[Fault, float]]) -> list[tuple[float, Fault]]:
    thresholds: list[tuple[float, Fault]] = []
    share = 0.0
    for fault, rate in rates:
        share += rate
        if rate:
            thresholds.append((share, fault))
    return thresholds


def _fault_at(draw: float, thresholds: list[tuple[float, Fault]]) -> Fault | None:
    return next((fault for share, fault in thresholds if draw < share), None)
