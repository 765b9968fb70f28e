"""Tells how long a cluster was unavailable to clients: the times without a 202, and without a charge. It is pure."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

GAP_MS_MIN = 1_000
"""Shorter times without an answer are no outage: each replica gets only some new payments a second."""
Span = tuple[int, int]
"""Two instants, the earlier one first, in milliseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Gaps:
    """Times in which something did not happen that usually happens some times a second."""

    longest_s: float
    total_s: float
    """The sum of all gaps that are longer than `GAP_MS_MIN`."""

    def to_dict(self) -> dict[str, float]:
        """Lay out the figures."""
        return {"longest_s": self.longest_s, "total_s": self.total_s}


def find_gaps(instants_ms: Iterable[int], spans: Sequence[Span]) -> Gaps:
    """Find the times within each of some spans in which none of the instants lies."""
    ordered = sorted(instants_ms)
    gaps_ms = [gap_ms for span in spans for gap_ms in _gaps_within(ordered, span)]
    outages_ms = [gap_ms for gap_ms in gaps_ms if gap_ms > GAP_MS_MIN]
    return Gaps(round(max(gaps_ms, default=0) / 1000, 2), round(sum(outages_ms) / 1000, 2))


def _gaps_within(ordered: Sequence[int], span: Span) -> list[int]:
    begin, end = span
    within = ordered[bisect_left(ordered, begin) : bisect_left(ordered, end)]
    edges = [begin, *within, end]
    return [later - earlier for earlier, later in pairwise(edges)]


def reachable_spans(whole: Span, away: Iterable[Span], answered_ms: Iterable[int]) -> list[Span]:
    """Find the parts of a span in which a replica could be reached.

    Args:
        whole: the span.
        away: spans in which a fault kept clients from it, in any order; they may overlap.
        answered_ms: instants of any answers: after a fault it counts as reachable again from the first answer on.
    """
    ordered = sorted(answered_ms)
    spans, begin = [], whole[0]
    for gone, back in [*sorted(away), (whole[1], whole[1])]:
        if gone > begin:
            spans.append((begin, min(gone, whole[1])))
        first = bisect_left(ordered, back)
        back_again = ordered[first] if first < len(ordered) else whole[1]
        begin = max(begin, back_again)
    return [(begin, end) for begin, end in spans if end > begin]
