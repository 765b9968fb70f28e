"""How full something is that is bounded."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Level:
    """How much there is of something, beside the most that there may be."""

    value: int
    max: int
