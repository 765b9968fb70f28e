"""Pauses between attempts that fail one after another."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses that double with each failure, from `first_s` up to `longest_s`."""

    first_s: float
    longest_s: float

    def pause_s(self, failures: int) -> float:
        """Return the length of the pause after this many failures in a row, the first being 1."""
        return min(self.first_s * 2.0 ** min(failures - 1, 32), self.longest_s)
