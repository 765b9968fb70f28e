"""Windows are parted into few spans that cover each instant of them once."""

from random import Random

import pytest

from actors.domain.spans import EXACT_MS, WIDTHS_MS, Spans, part_window

SECOND_MS, YEAR_MS = 1000, 365 * 86_400_000
NARROW_MS, MIDDLE_MS, WIDE_MS = WIDTHS_MS


@pytest.mark.parametrize("longest_ms", [20, 60 * SECOND_MS, 3_600 * SECOND_MS, YEAR_MS])
@pytest.mark.parametrize("around_ms", [0, 1_752_582_896_700])
def test_the_spans_of_a_window_cover_it_once_and_are_few(longest_ms: int, around_ms: int) -> None:
    rng = Random(f"{longest_ms} {around_ms}")  # no secret
    for _ in range(500):
        from_ms = around_ms + rng.randint(-longest_ms, longest_ms)
        to_ms = from_ms + rng.randint(0, longest_ms)
        parts = sorted(part_window(from_ms, to_ms), key=lambda each: each.from_ms)
        assert [parts[0].from_ms, *(each.to_ms + 1 for each in parts)] == [
            *(each.from_ms for each in parts),
            to_ms + 1,
        ]
        assert all(each.from_ms % each.width_ms == (each.to_ms + 1) % each.width_ms == 0 for each in parts)
        edges = [each for each in parts if each.width_ms == EXACT_MS]
        assert all(each.to_ms - each.from_ms < 2 * NARROW_MS for each in edges)
        sums = sum((each.to_ms + 1 - each.from_ms) // each.width_ms for each in parts if each not in edges)
        assert sums <= YEAR_MS // WIDE_MS + 4 * 100


def test_a_window_of_whole_spans_has_no_edges() -> None:
    assert [each.width_ms for each in part_window(0, WIDE_MS - 1)] == [WIDE_MS]
    assert {each.width_ms for each in part_window(NARROW_MS, WIDE_MS - 1)} == {NARROW_MS, MIDDLE_MS}


def test_a_window_within_no_whole_span_is_read_as_one() -> None:
    assert part_window(3000, 6999) == (Spans(EXACT_MS, 3000, 6999),)


def test_nothing_is_read_of_a_window_that_ends_before_it_begins() -> None:
    assert part_window(1, 0) == ()


def test_bounds_as_far_as_an_instant_can_be_are_kept() -> None:
    least, most = -(2**63), 2**63 - 1
    parts = part_window(least, most)
    assert (min(each.from_ms for each in parts), max(each.to_ms for each in parts)) == (least, most)
