"""What can go wrong in a trial, and how often in which profile: data alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Range = tuple[float, float]
"""Least and greatest value; drawn uniformly."""

REPLICAS = tuple(f"replica-{number}" for number in (1, 2, 3))
PROCESSORS = ("default", "fallback")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spell:
    """One kind of fault: whom it meets, for how long, how hard."""

    fault: str
    targets: tuple[str, ...]
    durations_s: tuple[Range, ...] = ((0, 0),)
    """One of the ranges is drawn, then a value in it."""
    parameters: Mapping[str, Range] = field(default_factory=dict)
    weight: float = 1
    together: bool = False
    """It meets all targets at once rather than one of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How a trial is loaded, and which spells it draws from."""

    rate: float = 150
    """New payments a second, unless the command line says otherwise."""
    acts: tuple[tuple[Range, Spell], ...] = ()
    """What is on from one share of the trial's time to another, 0 being its begin and 1 its end."""
    spells: tuple[tuple[Range, tuple[Spell, ...]], ...] = ()
    """Streams of faults: the range of seconds from one to the next, and what is drawn from."""
    gone: str | None = None
    """A replica that is killed after a third of the time and never returns."""


def _processor(fault: str, weight: float, durations_s: tuple[Range, ...], **parameters: Range) -> Spell:
    return Spell(fault=fault, targets=PROCESSORS, durations_s=durations_s, parameters=parameters, weight=weight)


SHORT, LONG = (1, 4), (4, 8)

# A delay and a late commit together stay below what the replicas are told to expect (`stage.PROCESSOR_DELAY_MS_MAX`).
PROCESSOR_SPELLS = (
    _processor("failures", 3, (SHORT, LONG), failureRate=(0.1, 0.4)),
    _processor("outage", 1.5, (SHORT, LONG), failureRate=(1, 1)),
    _processor("delays", 2, (SHORT, LONG), delayMs=(20, 1400)),
    _processor("drops", 1, (SHORT,), commitThenDropRate=(0.1, 0.6)),
    _processor("hangs", 1, (SHORT,), commitThenHangRate=(0.05, 0.4)),
    _processor("late_commits", 1.5, (SHORT,), lateCommitRate=(0.1, 0.5), lateCommitMs=(100, 1400)),
    _processor("garbled", 1, (SHORT,), garbageRate=(0.1, 0.6)),
    _processor("drips", 1, (SHORT,), dripRate=(0.1, 0.5), dripIntervalMs=(5, 60)),
    _processor("refusal", 1, (SHORT, LONG), refuse=(1, 1)),
)

# Away for less than a lease, or for long enough to have its payments adopted.
BRIEFLY, ADOPTED = (0.1, 2), (6, 15)

REPLICA_SPELLS = (
    Spell(fault="kill", targets=REPLICAS, durations_s=(BRIEFLY, ADOPTED), weight=4),
    Spell(fault="pause", targets=REPLICAS, durations_s=((2, 6), (6, 12), (12, 30)), weight=3),
    Spell(fault="stop", targets=REPLICAS, durations_s=((0, 3),), weight=2),
    Spell(fault="kill", targets=REPLICAS, durations_s=((0.2, 2),), weight=0.7, together=True),
)
SERVER_SPELLS = (
    Spell(fault="kill", targets=("postgres",), durations_s=((0, 2),), weight=1),
    Spell(fault="stop", targets=("postgres",), durations_s=((0, 1), (5, 10)), weight=1),
    Spell(fault="pause", targets=("postgres",), durations_s=((1, 10),), weight=1),
    Spell(fault="cut", targets=("postgres",), weight=2),
    Spell(fault="kill", targets=("redis",), durations_s=((0, 3),), weight=0.7),
    Spell(fault="flush", targets=("redis",), weight=0.5),
    Spell(fault="pause", targets=("redis",), durations_s=((1, 5),), weight=0.7),
)
PROCESS_SPELLS = REPLICA_SPELLS + SERVER_SPELLS

MILD = tuple(spell for spell in PROCESSOR_SPELLS if spell.fault in ("failures", "drops", "late_commits"))
MIX = (((1.5, 4.5), PROCESS_SPELLS), ((0.8, 3.2), PROCESSOR_SPELLS))


def _failing(rate: float, *targets: str) -> Spell:
    return Spell(fault="failures", targets=targets, parameters={"failureRate": (rate, rate)}, together=True)


FORTY = (
    ((0, 0.3), _failing(0.4, *PROCESSORS)),
    ((0.35, 0.6), _failing(0.4, "default")),
    ((0.65, 0.72), _failing(1, "default")),
    ((0.72, 0.79), _failing(1, "fallback")),
    ((0.79, 0.86), _failing(1, "default")),
    ((0.86, 0.93), _failing(1, "fallback")),
)
"""Both fail 40 % of all calls, then default alone does, then outages alternate."""

PROFILES: Mapping[str, Profile] = {
    "forty": Profile(acts=FORTY),
    "crashes": Profile(spells=(((0.8, 2.4), PROCESS_SPELLS), ((3, 6), MILD))),
    "mix": Profile(spells=MIX),
    "soak": Profile(rate=120, spells=MIX),
    "gone": Profile(spells=(((3, 6), PROCESS_SPELLS), ((1.5, 4.5), PROCESSOR_SPELLS)), gone="replica-2"),
}
