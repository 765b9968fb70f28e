"""The profiles: which faults a chaos run injects, and how often."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Range = tuple[float, float]
"""The least and the greatest value of a uniform draw."""

REPLICAS = tuple(f"replica-{number}" for number in (1, 2, 3))
PROCESSORS = ("default", "fallback")


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultChoice:
    """A kind of fault that can be drawn: into what it is injected, for how long, with which parameters."""

    fault: str
    targets: tuple[str, ...]
    durations_s: tuple[Range, ...] = ((0, 0),)
    """Ranges of seconds; one of them is drawn, then a value in it."""
    parameters: Mapping[str, Range] = field(default_factory=dict)
    """Ranges from which parameters are drawn: of the simulator's faults, or of how wrong clocks are."""
    weight: float = 1
    """How often it is drawn, in proportion to the weights of the others."""
    together: bool = False
    """Whether it is injected into all targets at once rather than into one of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The load of a run, and the faults that are injected meanwhile."""

    rate: float = 150
    """New payments per second, unless the command line says otherwise."""
    fixed_faults: tuple[tuple[Range, FaultChoice], ...] = ()
    """Faults with the span in which they are active, as two shares of the length of the run."""
    random_faults: tuple[tuple[Range, tuple[FaultChoice, ...]], ...] = ()
    """Independent series of faults: the range of seconds between two starts, and the faults that are drawn from."""
    charge_timeout_ms: int = 1_000
    """How long the replicas wait for the end of a charge: short, for many faults in little time."""
    lasting_faults: tuple[FaultChoice, ...] = ()
    """Faults that begin after a third of the time and never end."""
    plants_faults: bool = False
    """Whether faults are planted in the replicas' processes, such as wrong clocks."""
    has_neighbours: bool = False
    """Whether there are bad neighbours, beside whom the times of answers and the memory are judged."""
    huge_share: float = 0
    """Share of the payments with an amount near the largest that there may be."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Settings of the replicas that differ from the defaults."""


def _processor(fault: str, weight: float, durations_s: tuple[Range, ...], **parameters: Range) -> FaultChoice:
    return FaultChoice(fault=fault, targets=PROCESSORS, durations_s=durations_s, parameters=parameters, weight=weight)


SHORT_S, LONG_S = (1, 4), (4, 8)

# A delay plus a late commit stays below what replicas are told to expect (`stack_options.PROCESSOR_DELAY_MS_MAX`).
PROCESSOR_FAULTS = (
    _processor("failures", 3, (SHORT_S, LONG_S), failureRate=(0.1, 0.4)),
    _processor("outage", 1.5, (SHORT_S, LONG_S), failureRate=(1, 1)),
    _processor("delays", 2, (SHORT_S, LONG_S), delayMs=(20, 1400)),
    _processor("drops", 1, (SHORT_S,), commitThenDropRate=(0.1, 0.6)),
    _processor("hangs", 1, (SHORT_S,), commitThenHangRate=(0.05, 0.4)),
    _processor("late_commits", 1.5, (SHORT_S,), lateCommitRate=(0.1, 0.5), lateCommitMs=(100, 1400)),
    _processor("garbled", 1, (SHORT_S,), garbageRate=(0.1, 0.6)),
    _processor("drips", 1, (SHORT_S,), dripRate=(0.1, 0.5), dripIntervalMs=(5, 60)),
    _processor("refusal", 1, (SHORT_S, LONG_S), refuse=(1, 1)),
)

# A dead replica keeps its payments for as long as its lease lasts; after that, other replicas adopt them.
WITHIN_LEASE_S, PAST_LEASE_S = (0.1, 2), (6, 15)

REPLICA_FAULTS = (
    FaultChoice(fault="kill", targets=REPLICAS, durations_s=(WITHIN_LEASE_S, PAST_LEASE_S), weight=4),
    FaultChoice(fault="pause", targets=REPLICAS, durations_s=((2, 6), (6, 12), (12, 30)), weight=3),
    FaultChoice(fault="stop", targets=REPLICAS, durations_s=((0, 3),), weight=2),
    FaultChoice(fault="kill", targets=REPLICAS, durations_s=((0.2, 2),), weight=0.7, together=True),
)
SERVER_FAULTS = (
    FaultChoice(fault="kill", targets=("postgres",), durations_s=((0, 2),), weight=1),
    FaultChoice(fault="stop", targets=("postgres",), durations_s=((0, 1), (5, 10)), weight=1),
    FaultChoice(fault="pause", targets=("postgres",), durations_s=((1, 10),), weight=1),
    FaultChoice(fault="cut", targets=("postgres",), weight=2),
    FaultChoice(fault="kill", targets=("redis",), durations_s=((0, 3),), weight=0.7),
    FaultChoice(fault="flush", targets=("redis",), weight=0.5),
    FaultChoice(fault="pause", targets=("redis",), durations_s=((1, 5),), weight=0.7),
)
PROCESS_FAULTS = REPLICA_FAULTS + SERVER_FAULTS

HOUR_MS = 3_600_000
CLOCKS = (
    FaultChoice(fault="step", targets=REPLICAS, durations_s=((1, 8),), parameters={"clockMs": (HOUR_MS, HOUR_MS)}),
    FaultChoice(fault="step", targets=REPLICAS, durations_s=((1, 8),), parameters={"clockMs": (-3000, -1500)}),
    FaultChoice(fault="rejoin", targets=REPLICAS, durations_s=((4, 8),), parameters={"clockMs": (-3000, -3000)}),
)
"""A replica's clock steps an hour ahead and back, or a little back and ahead, or is behind when the replica joins."""

STATUSES = (400, 404, 409, 500, 502, 503)
"""Statuses that a gateway in front of a processor answers, whatever the processor has done."""


def _edges(target: str) -> tuple[FaultChoice, ...]:
    return tuple(
        FaultChoice(
            fault=fault,
            targets=(target,),
            durations_s=(SHORT_S, LONG_S),
            parameters={f"{fault}Rate": (0.1, 0.6), "edgeStatus": (status, status), **later},
        )
        for status in STATUSES
        for fault, later in (("edge", {}), ("lateEdge", {"lateCommitMs": (100, 1400)}))
    )


MILD = tuple(choice for choice in PROCESSOR_FAULTS if choice.fault in ("failures", "drops", "late_commits"))
MIX = (((1.5, 4.5), PROCESS_FAULTS), ((0.8, 3.2), PROCESSOR_FAULTS))


def _failing(rate: float, *targets: str) -> FaultChoice:
    return FaultChoice(fault="failures", targets=targets, parameters={"failureRate": (rate, rate)}, together=True)


FORTY = (
    ((0, 0.3), _failing(0.4, *PROCESSORS)),
    ((0.35, 0.6), _failing(0.4, "default")),
    ((0.65, 0.72), _failing(1, "default")),
    ((0.72, 0.79), _failing(1, "fallback")),
    ((0.79, 0.86), _failing(1, "default")),
    ((0.86, 0.93), _failing(1, "fallback")),
)
"""Both processors fail 40 % of all calls, then default alone does, then each of them fails altogether in turns."""


def _by_id(target: str, status: int, declined: float) -> FaultChoice:
    rates = {"declineRate": declined, "otherAmountRate": 0.01, "falseDuplicateRate": 0.01}
    parameters = {name: (rate, rate) for name, rate in {**rates, "declineStatus": status}.items()}
    return FaultChoice(fault="declines", targets=(target,), parameters=parameters)


GONE = FaultChoice(fault="kill", targets=("replica-2",))
NEVER_BACK = FaultChoice(fault="refusal", targets=("default",), parameters={"refuse": (1, 1)})
LATE = FaultChoice(
    fault="late_commits", targets=("default",), parameters={"lateCommitRate": (0.3, 0.3), "lateCommitMs": (1400, 1400)}
)

DECLINES = tuple(
    (span, _by_id(target, status, declined))
    for span, status in (((0, 0.4), 400), ((0.4, 0.7), 402), ((0.7, 1), 415))
    for target, declined in (("default", 0.06), ("fallback", 0.03))
)
"""Default declines 6 % of all ids for good, fallback half of those; some ids are known there before they are sent."""


def _delayed(*targets: str) -> FaultChoice:
    return FaultChoice(fault="delays", targets=targets, parameters={"delayMs": (800, 2600)}, together=True)


MOMENTS = (
    ((0.05, 0.35), _delayed("default")),
    ((0.4, 0.6), _delayed("fallback")),
    ((0.65, 0.95), _delayed(*PROCESSORS)),
)
"""Charges are under way for as long as the windows of the event's checks have ended, or longer."""


def _neighbour(target: str, fault: str, *spans: Range, **parameters: float) -> tuple[tuple[Range, FaultChoice], ...]:
    bounds = {name: (value, value) for name, value in parameters.items()}
    return tuple((span, FaultChoice(fault=fault, targets=(target,), parameters=bounds)) for span in spans)


NEIGHBOURS = (
    *_neighbour("names", "slow", (0.27, 0.56), (0.64, 0.8)),
    *_neighbour("disk", "full", (0.46, 0.5), replica=2),
    *_neighbour("disk", "full", (0.7, 0.74), replica=3),
    *_neighbour("disk", "failing", (0.52, 0.52), (0.76, 0.76), replica=2),
    *_neighbour("idle", "crowd", (0.28, 0.55), members=2000, replica=1),
    *_neighbour("idle", "crowd", (0.62, 0.78), members=2000, replica=2),
    *_neighbour("half_sent", "crowd", (0.3, 0.57), members=2000, replica=1),
    *_neighbour("half_sent", "crowd", (0.63, 0.79), members=2000, replica=3),
    *_neighbour("slow_sender", "crowd", (0.31, 0.58), (0.65, 0.8), members=200),
    *_neighbour("never_reading", "crowd", (0.32, 0.58), (0.66, 0.8), members=50),
    *_neighbour("heavy_reader", "crowd", (0.34, 0.56), (0.66, 0.78), members=16),
    *_neighbour("nuisance", "crowd", (0.35, 0.57), (0.67, 0.79), members=16),
    *_neighbour("dead", "leave", (0.44, 0.44), rows=10_000),
    *_neighbour("twin", "start", (0.36, 0.54), (0.68, 0.77)),
    *_neighbour("default", "refusal", (0.38, 0.42), (0.5, 0.53), refuse=1),
    *_neighbour("default", "hangs", (0.45, 0.49), (0.7, 0.73), commitThenHangRate=0.3),
    *_neighbour("fallback", "delays", (0.4, 0.48), (0.72, 0.76), delayMs=1400),
    *_neighbour("postgres", "pause", (0.475, 0.48), (0.715, 0.72)),
    *_neighbour("redis", "pause", (0.47, 0.49), (0.71, 0.73)),
)
"""All bad neighbours at once, in two spans after a quiet part and before another one."""
COMPOSE = {"IN_FLIGHT_MAX": "100", "CONNECTIONS_MAX": "384", "MALLOC_ARENA_MAX": "1"}
"""Settings of the replicas in docker-compose.yml."""

PROFILES: Mapping[str, Profile] = {
    "forty": Profile(fixed_faults=FORTY),
    "crashes": Profile(random_faults=(((0.8, 2.4), PROCESS_FAULTS), ((3, 6), MILD))),
    "mix": Profile(random_faults=MIX),
    "soak": Profile(rate=120, random_faults=MIX),
    "moments": Profile(fixed_faults=MOMENTS, charge_timeout_ms=10_000),
    "gone": Profile(random_faults=(((3, 6), PROCESS_FAULTS), ((1.5, 4.5), PROCESSOR_FAULTS)), lasting_faults=(GONE,)),
    "never_back": Profile(
        # What default books in the moments before it is gone cannot be known any more.
        fixed_faults=(((0.2, 0.34), LATE),),
        random_faults=(((2, 5), PROCESS_FAULTS), ((1.5, 4.5), MILD)),
        lasting_faults=(NEVER_BACK,),
    ),
    "edges": Profile(
        random_faults=(((3, 6), PROCESS_FAULTS), ((0.8, 3.2), _edges("default")), ((2, 6), _edges("fallback")))
    ),
    "clocks": Profile(random_faults=(((5, 9), CLOCKS), ((3, 6), PROCESS_FAULTS), ((3, 6), MILD)), plants_faults=True),
    "neighbours": Profile(
        fixed_faults=NEIGHBOURS,
        plants_faults=True,
        has_neighbours=True,
        huge_share=0.2,
        environment={**COMPOSE, "OPEN_MAX": "5000"},
    ),
    "declining": Profile(fixed_faults=DECLINES, random_faults=(((3, 6), PROCESS_FAULTS), ((3, 6), MILD))),
}
