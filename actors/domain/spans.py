"""Splits a window of time into spans whose sums are stored and edges whose charges are read one by one."""

from dataclasses import dataclass

EXACT_MS = 1
"""Width of the spans of an edge: instants are whole milliseconds."""
WIDTHS_MS = (5_000, 500_000, 50_000_000)
"""Widths of the spans whose sums are kept, each 100 times the one before: 5 s, 8 min 20 s, and some 14 hours."""


@dataclass(frozen=True, slots=True)
class Spans:
    """Neighbouring spans of one width."""

    width_ms: int
    from_ms: int
    to_ms: int
    """The last millisecond of the last span."""


def part_window(from_ms: int, to_ms: int) -> tuple[Spans, ...]:
    """Split a window, both bounds inclusive, into the widest spans that begin at multiples of their widths.

    Towards the bounds they are narrower. A year has some 600 of the widest and up to 200 of each other width, and
    each of the two edges is shorter than the narrowest span.
    """
    parts = []
    width_ms, end_ms = EXACT_MS, to_ms + 1
    for wider_ms in WIDTHS_MS:
        first_ms, last_ms = -(-from_ms // wider_ms) * wider_ms, end_ms // wider_ms * wider_ms
        if first_ms >= last_ms:
            break
        parts += [Spans(width_ms, from_ms, first_ms - 1), Spans(width_ms, last_ms, end_ms - 1)]
        width_ms, from_ms, end_ms = wider_ms, first_ms, last_ms
    parts.append(Spans(width_ms, from_ms, end_ms - 1))
    return tuple(each for each in parts if each.from_ms <= each.to_ms)
