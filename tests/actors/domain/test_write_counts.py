"""What a batch has changed is counted once it is committed, and nothing else."""

from dataclasses import replace
from uuid import UUID

from actors.domain.payment import EndState, Move, Settlement
from actors.domain.records import WriteResult
from actors.domain.write_counts import SettledTotal, WriteCounts
from tests.actors.fakes import NOW_MS, payment
from tests.actors.persisting import closing, settlement


def result(moved: tuple[int, ...] = (), disputed: tuple[int, ...] = ()) -> WriteResult:
    ids = [tuple(UUID(int=number) for number in numbers) for numbers in (moved, disputed)]
    return WriteResult((), (), *ids)


def in_yen(number: int, processor: str = "fallback") -> Settlement:
    return Settlement(replace(payment(number, 700), currency="JPY"), processor, NOW_MS, 1, NOW_MS)


def test_settlements_are_counted_by_processor_and_currency_but_for_disputed_ones() -> None:
    counts = WriteCounts()
    for _ in range(2):
        batch = [settlement(1), settlement(2), settlement(3), in_yen(4)]
        counts.committed(batch, [], [], result(disputed=(3,)), 0.004, NOW_MS)
    assert counts.settled == {("default", "BRL"): SettledTotal(4, 4 * 1990), ("fallback", "JPY"): SettledTotal(2, 1400)}
    assert counts.settled_by_processor() == {"default": 4, "fallback": 2}
    counts.committed([in_yen(5, "default")], [], [], result(), 0.004, NOW_MS)
    assert counts.settled_by_processor() == {"default": 5, "fallback": 2}
    assert sum(counts.settling.counted().counts) == 7


def test_the_time_to_settle_runs_from_the_acceptance_to_the_commit() -> None:
    counts = WriteCounts()
    accepted_at_ms = settlement(1).payment.accepted_at_ms
    counts.committed([settlement(1)], [], [], result(), 0.004, accepted_at_ms + 1500)
    # One whose replica's clock was ahead counts as settled at once.
    counts.committed([settlement(2)], [], [], result(), 0.004, accepted_at_ms - 20)
    counted = counts.settling.counted()
    assert (counted.sum_s, counted.counts[0], sum(counted.counts)) == (1.5, 1, 2)


def test_of_moves_those_are_counted_that_applied() -> None:
    counts = WriteCounts()
    moves = [Move(UUID(int=number), name, 1, 1) for number, name in ((1, "fallback"), (2, None), (3, "fallback"))]
    counts.committed([], [], moves, result(moved=(1, 2)), 0.004, NOW_MS)
    assert counts.moved == {"fallback": 1, None: 1}
    counts.committed([], [], moves, result(moved=(1, 3)), 0.004, NOW_MS)
    assert counts.moved == {"fallback": 3, None: 1}


def test_commits_are_timed_and_ends_without_a_charge_counted() -> None:
    counts = WriteCounts()
    counts.committed([], [closing(1), closing(2)], [], result(), 0.3, NOW_MS)
    assert counts.closed == {EndState.DECLINED: 2, EndState.MISMATCHED: 0}
    assert (counts.commits.counted().sum_s, sum(counts.commits.counted().counts)) == (0.3, 1)


def test_all_counts_begin_at_nothing() -> None:
    counts = WriteCounts()
    assert (counts.disputes, counts.closed, counts.settled) == (0, dict.fromkeys(EndState, 0), {})
