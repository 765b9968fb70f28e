"""What all replicas together did in each second of the last five minutes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

KEPT_S = 300
"""How many seconds are kept."""
QUANTILES = (0.5, 0.99)


@dataclass(frozen=True, slots=True)
class Second:
    """What one replica did within one second."""

    at_s: int
    """When the second began, in seconds since the epoch by the replica's clock."""
    accepted: int
    waiting: int | None
    """Unsettled payments at its end; None where that was not known."""
    settled: Mapping[str, int]
    """Settled payments, by processor."""
    latency_ms: Mapping[str, float | None]
    """Smoothed duration of a charge, by processor."""
    down: tuple[str, ...]
    """Processors whose breakers were not closed."""
    answers: tuple[int, ...]
    """Answers to posted payments by how long they took: one number for each bound, and one for those beyond."""


@dataclass(slots=True)
class Series:
    """The seconds of all replicas, as columns that begin at one second."""

    from_s: int
    accepted: list[int | None] = field(default_factory=list)
    waiting: list[int | None] = field(default_factory=list)
    settled: dict[str, list[int | None]] = field(default_factory=dict)
    latency_ms: dict[str, list[float | None]] = field(default_factory=dict)
    down: dict[str, list[int]] = field(default_factory=dict)
    """1 where most replicas that told of the second found the processor down."""
    quantiles_ms: dict[float, list[float | None]] = field(default_factory=dict)


class Seconds:
    """Gathers the seconds of all replicas, each once, and forgets those that are older than `KEPT_S`."""

    def __init__(self, bounds_s: Sequence[float]) -> None:
        """`bounds_s` are the upper bounds of the durations in `Second.answers`, in seconds."""
        self._bounds_s = bounds_s
        self._told: dict[int, dict[str, Second]] = {}

    def add(self, replica: str, seconds: Iterable[Second], now_s: int) -> None:
        """Add what a replica has told, without seconds that are too old or in the future by this replica's clock."""
        for second in seconds:
            if now_s - KEPT_S < second.at_s <= now_s + 1:
                self._told.setdefault(second.at_s, {})[replica] = second
        for at_s in [at_s for at_s in self._told if at_s <= now_s - KEPT_S]:
            del self._told[at_s]

    def series(self, processors: Sequence[str], after_s: int | None, now_s: int) -> Series:
        """Give the seconds after `after_s`, or all that are kept, up to the latest that a replica has told."""
        begin_s = now_s - KEPT_S + 1 if after_s is None else max(after_s, now_s - KEPT_S) + 1
        known = [at_s for at_s in self._told if at_s >= begin_s]
        series = Series(min(known) if known and after_s is None else begin_s)
        for at_s in range(series.from_s, max(known, default=series.from_s - 1) + 1):
            self._append(series, processors, list(self._told.get(at_s, {}).values()))
        return series

    def _append(self, series: Series, processors: Sequence[str], told: Sequence[Second]) -> None:
        waiting = [each.waiting for each in told if each.waiting is not None]
        series.accepted.append(sum(each.accepted for each in told) if told else None)
        series.waiting.append(sum(waiting) if waiting else None)
        for name in processors:
            charged = sum(each.settled.get(name, 0) for each in told) if told else None
            series.settled.setdefault(name, []).append(charged)
            latencies = [ms for each in told if (ms := each.latency_ms.get(name)) is not None]
            latency_ms = round(sum(latencies) / len(latencies), 1) if latencies else None
            series.latency_ms.setdefault(name, []).append(latency_ms)
            down = sum(name in each.down for each in told)
            series.down.setdefault(name, []).append(int(2 * down > len(told)))
        answers = [sum(counts) for counts in zip(*(each.answers for each in told), strict=False)]
        for share in QUANTILES:
            series.quantiles_ms.setdefault(share, []).append(quantile_ms(self._bounds_s, answers, share))


def quantile_ms(bounds_s: Sequence[float], counts: Sequence[int], share: float) -> float | None:
    """Estimate a quantile in milliseconds from the counts of a histogram, evenly within its bucket.

    It is None where nothing was counted, and the last bound where it lies beyond that.
    """
    wanted, below = share * sum(counts), 0
    if not wanted:
        return None
    lower_s = 0.0
    for upper_s, count in zip(bounds_s, counts, strict=False):
        if below + count >= wanted and count:
            return round((lower_s + (upper_s - lower_s) * (wanted - below) / count) * 1000, 2)
        below += count
        lower_s = upper_s
    return round(bounds_s[-1] * 1000, 2)
