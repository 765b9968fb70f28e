"""What goes wrong with which payment: decided by a seed, so that the same requests meet the same faults."""

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
"""Answers that are none: no HTTP, a broken status line, a body cut short, a broken chunk."""


class Fault(Enum):
    """What can be injected; the value is its name in the counts."""

    FAILURE = "failure"
    """500, nothing kept."""
    COMMIT_THEN_DROP = "commitThenDrop"
    """Kept, the connection closed without an answer."""
    COMMIT_THEN_HANG = "commitThenHang"
    """Kept, never answered; the connection stays until the client leaves."""
    LATE_COMMIT = "lateCommit"
    """The connection closed without an answer, kept only a while later."""
    GARBAGE = "garbage"
    """Kept, answered with what is no HTTP."""
    DRIP = "drip"
    """Kept, answered byte by byte."""
    REFUSE = "refuse"
    """Nobody listens on the port; counted once for each time it closes."""
    DELAY = "delay"
    """Time added to the configured delay."""


class FixedDelay(Struct, tag_field="kind", tag="fixed", frozen=True, forbid_unknown_fields=True):
    """Always the same delay."""

    ms: Milliseconds

    def draw_ms(self, _chance: Random) -> float:
        """Take one delay."""
        return self.ms


class UniformDelay(Struct, tag_field="kind", tag="uniform", frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Any delay between two bounds."""

    min_ms: Milliseconds
    max_ms: Milliseconds

    def __post_init__(self) -> None:
        """Check the bounds."""
        if self.min_ms > self.max_ms:
            raise ValueError("minMs is above maxMs")

    def draw_ms(self, rng: Random) -> float:
        """Take one delay."""
        return rng.uniform(self.min_ms, self.max_ms)


class LognormalDelay(
    Struct, tag_field="kind", tag="lognormal", frozen=True, forbid_unknown_fields=True, rename="camel"
):
    """Mostly short delays with a long tail, cut off at `max_ms`."""

    median_ms: Annotated[float, Meta(gt=0, le=DELAY_MS_MAX)]
    sigma: Annotated[float, Meta(ge=0, le=10)]
    max_ms: Milliseconds = DELAY_MS_MAX

    def draw_ms(self, rng: Random) -> float:
        """Take one delay."""
        return min(self.max_ms, rng.lognormvariate(math.log(self.median_ms), self.sigma))


class Faults(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=False, rename="camel"):
    """The whole set of faults; a rate is the share of all payment requests, and one request meets one fault at most."""

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
        """Check that the rates leave room for each other."""
        if math.fsum(rate for _, rate in self.rates()) > 1:
            raise ValueError("the rates sum to more than 1")

    def rates(self) -> tuple[tuple[Fault, float], ...]:
        """Pair each fault of a payment with its rate."""
        return (
            (Fault.FAILURE, self.failure_rate),
            (Fault.COMMIT_THEN_DROP, self.commit_then_drop_rate),
            (Fault.COMMIT_THEN_HANG, self.commit_then_hang_rate),
            (Fault.LATE_COMMIT, self.late_commit_rate),
            (Fault.GARBAGE, self.garbage_rate),
            (Fault.DRIP, self.drip_rate),
        )


@dataclass(frozen=True, slots=True)
class Fate:
    """What one payment request meets."""

    fault: Fault | None
    delay_ms: float
    garbage: bytes
    """What to answer where the fault is garbage."""


class FaultPlan:
    """The fates of payment requests, one after the other."""

    def __init__(self, faults: Faults) -> None:
        self._delay = faults.delay
        self._thresholds: list[tuple[float, Fault]] = []
        share = 0.0
        for fault, rate in faults.rates():
            share += rate
            self._thresholds.append((share, fault))
        # Two sources, so that a delay doesn't change which faults a seed brings.
        self._fault_chance = Random(f"{faults.seed} faults")  # noqa: S311 - it has to repeat, not to be secret
        self._delay_chance = Random(f"{faults.seed} delays")  # noqa: S311 - the same

    def draw(self) -> Fate:
        """Decide the next request's fate."""
        lot = self._fault_chance.random()
        garbage = GARBAGE[int(self._fault_chance.random() * len(GARBAGE))]
        fault = next((fault for share, fault in self._thresholds if lot < share), None)
        delay_ms = self._delay.draw_ms(self._delay_chance) if self._delay else 0.0
        return Fate(fault, delay_ms, garbage)
