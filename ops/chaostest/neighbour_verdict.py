"""Judges whether bad neighbours cost others more than their share: answers, their times, and memory. It is pure."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from ops.chaostest.schedule import ScheduledFault
from ops.chaostest.workload import Attempt

ANSWER_S_MAX = 1.0
"""How long any answer may take but a refusal."""
P99_RATIO_MAX = 5.0
"""How many times the quiet p99 the p99 beside neighbours may be."""
MIB = 1024 * 1024
REPLICA_MIB_MAX = 84
"""The memory of each replica in docker-compose.yml, whose `84MB` Docker takes as MiB."""
WARM_UP_SHARE = 0.05
"""Share of the run that belongs neither to its quiet part nor to that with neighbours."""
OFFERED_SHARE_MIN = 0.95
"""Share of the steady load that has to be offered: clients that wait for each other would hide slow answers."""
P99 = 0.99
EXAMPLES_MAX = 500
"""How many requests for which a bound was broken are kept."""
REFUSALS = frozenset({HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS})


@dataclass(frozen=True, slots=True)
class RunSpans:
    """When it was quiet, and when the neighbours were there, in milliseconds since the epoch."""

    quiet_ms: tuple[float, float]
    neighbours_ms: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighbourFigures:
    """What was measured of a run with bad neighbours."""

    offered: int
    """How many payments were offered."""
    expected: int
    """How many a steady load has."""
    requests: int
    """How many requests posted a payment."""
    unanswered: int
    """How many requests got no answer: their connection was refused or closed, or their client gave up."""
    late: int
    """How many requests were answered, but not refused, after more than `ANSWER_S_MAX`."""
    refused: int
    """How many requests were refused with 503 or 429."""
    refused_without_time: int
    """How many refusals did not say when to come again."""
    slowest_s: float
    """The longest time until an answer that was no refusal, beside neighbours."""
    quiet_p99_s: float
    """The 99th percentile of accepted answers in the quiet part; nan where there were none."""
    neighbours_p99_s: float
    peaks_bytes: Mapping[str, int]
    """The most memory of each service at any second."""
    crowds: Mapping[str, tuple[int, int]]
    """For each crowd how many connections it had open at most, and how many it opened."""
    examples: Sequence[Attempt] = ()
    """Requests that were unanswered, late, or refused without a time to come again."""

    def violations(self) -> Iterator[str]:
        """Tell in words which bounds were broken."""
        if self.offered < OFFERED_SHARE_MIN * self.expected:
            yield f"{self.offered} of {self.expected} payments were offered: clients were held up"
        if self.unanswered:
            yield f"{self.unanswered} of {self.requests} requests got no answer"
        if self.late:
            yield f"{self.late} requests were answered after more than {ANSWER_S_MAX:g} s"
        if self.refused_without_time:
            yield f"{self.refused_without_time} of {self.refused} refusals had no Retry-After"
        # If nothing was accepted, nothing is proven: a comparison with nan is false.
        if not self.neighbours_p99_s <= P99_RATIO_MAX * self.quiet_p99_s:
            quiet_ms, beside_ms = 1000 * self.quiet_p99_s, 1000 * self.neighbours_p99_s
            yield f"the p99 is {beside_ms:.1f} ms beside neighbours and {quiet_ms:.1f} ms without"
        for name, size_bytes in sorted(self.peaks_bytes.items()):
            if not size_bytes:
                yield f"the memory of {name} could not be read"
            elif name.startswith("replica") and size_bytes > REPLICA_MIB_MAX * MIB:
                yield f"{name} needed {size_bytes / MIB:.1f} MiB of {REPLICA_MIB_MAX}"
        yield from (f"the crowd {name} opened no connection" for name, (_, opened) in self.crowds.items() if not opened)

    def to_dict(self) -> dict[str, object]:
        """Lay out the figures for the result of the run."""
        broken = list(self.violations())
        return {
            "offered": self.offered,
            "expected": self.expected,
            "requests": self.requests,
            "unanswered": self.unanswered,
            "late": self.late,
            "refused": self.refused,
            "refused_without_retry_after": self.refused_without_time,
            "slowest_ms": _ms(self.slowest_s),
            "quiet_p99_ms": _ms(self.quiet_p99_s),
            "neighbours_p99_ms": _ms(self.neighbours_p99_s),
            "peaks_mib": {name: round(size / MIB, 1) for name, size in sorted(self.peaks_bytes.items())},
            "crowds": {name: {"open_max": most, "opened": opened} for name, (most, opened) in self.crowds.items()},
            "violations": broken,
            "ok": not broken,
        }


def spans_of(schedule: Iterable[ScheduledFault], began_ms: int, seconds: float) -> RunSpans:
    """Find the quiet first part of a run that began at an instant, and the part in which there are faults."""
    faults = list(schedule)
    first_s, last_s = min(each.at_s for each in faults), max(each.ends_at_s for each in faults)
    warm_s = WARM_UP_SHARE * seconds
    return RunSpans(
        (began_ms + 1000 * warm_s, began_ms + 1000 * first_s), (began_ms + 1000 * first_s, began_ms + 1000 * last_s)
    )


def measure(
    attempts: Iterable[Attempt],
    spans: RunSpans,
    peaks_bytes: Mapping[str, int],
    crowds: Mapping[str, tuple[int, int]],
    *,
    offered: int,
    expected: int,
) -> NeighbourFigures:
    """Make the figures of a run from all requests that posted a payment."""
    made = list(attempts)
    refused = [each for each in made if each.status in REFUSALS]
    answered = [each for each in made if each.status is not None and each.status not in REFUSALS]
    accepted = [each for each in answered if each.status == HTTPStatus.ACCEPTED]
    unanswered = [each for each in made if each.status is None]
    late = [each for each in answered if each.took_s > ANSWER_S_MAX]
    refused_without_time = [each for each in refused if not each.says_when]
    return NeighbourFigures(
        offered=offered,
        expected=expected,
        requests=len(made),
        unanswered=len(unanswered),
        late=len(late),
        refused=len(refused),
        refused_without_time=len(refused_without_time),
        slowest_s=max((each.took_s for each in answered), default=math.nan),
        quiet_p99_s=percentile(_times_s(accepted, spans.quiet_ms), P99),
        neighbours_p99_s=percentile(_times_s(accepted, spans.neighbours_ms), P99),
        peaks_bytes=peaks_bytes,
        crowds=crowds,
        examples=(*unanswered, *late, *refused_without_time)[:EXAMPLES_MAX],
    )


def percentile(values: Sequence[float], share: float) -> float:
    """Find the least value that at least this share of the values does not exceed; nan where there are none."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)] if values else math.nan


def _times_s(attempts: Iterable[Attempt], span_ms: tuple[float, float]) -> list[float]:
    return [each.took_s for each in attempts if span_ms[0] <= each.at_ms < span_ms[1]]


def _ms(seconds: float) -> float | None:
    return None if math.isnan(seconds) else round(1000 * seconds, 1)
