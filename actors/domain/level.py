"""The type that tells how full a bounded queue or memory is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Level:
    """How many items there are, and the most that there may be."""

    value: int
    max: int
