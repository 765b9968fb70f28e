"""Decides which faults are injected into which payment request; a seed makes the decisions repeatable."""

import math
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import Annotated

from msgspec import Meta, Struct

DELAY_MS_MAX = 600_000

Rate = Annotated[float, Meta(ge=0, le=1)]
Milliseconds = Annotated[float, Meta(ge=0, le=DELAY_MS_MAX)]

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
    """Take longer than the configured delay."""


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
    """The faults to inject; a rate is the share of payment requests, each of which gets at most one such fault."""

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
    delay: FixedDelay | UniformDelay | LognormalDelay | None = None

    def __post_init__(self) -> None:
        """Check that the rates add up to at most 1."""
        if math.fsum(rate for _, rate in self.rates()) > 1:
            raise ValueError("the rates sum to more than 1")

    def rates(self) -> tuple[tuple[Fault, float], ...]:
        """Return each fault that has a rate, with its rate."""
        return (
            (Fault.FAILURE, self.failure_rate),
            (Fault.COMMIT_THEN_DROP, self.commit_then_drop_rate),
            (Fault.COMMIT_THEN_HANG, self.commit_then_hang_rate),
            (Fault.LATE_COMMIT, self.late_commit_rate),
            (Fault.GARBAGE, self.garbage_rate),
            (Fault.DRIP, self.drip_rate),
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
        self._thresholds: list[tuple[float, Fault]] = []
        share = 0.0
        for fault, rate in faults.rates():
            share += rate
            self._thresholds.append((share, fault))
        # Two generators, so that adding a delay does not change which requests get which fault.
        self._fault_rng = Random(f"{faults.seed} faults")  # noqa: S311 - it has to repeat, not to be secret
        self._delay_rng = Random(f"{faults.seed} delays")  # noqa: S311 - it has to repeat, not to be secret

    def draw(self) -> Injection:
        """Draw what is injected into the next request."""
        draw = self._fault_rng.random()
        garbage = GARBAGE[int(self._fault_rng.random() * len(GARBAGE))]
        fault = next((fault for share, fault in self._thresholds if draw < share), None)
        delay_ms = self._delay.draw_ms(self._delay_rng) if self._delay else 0.0
        return Injection(fault, delay_ms, garbage)
