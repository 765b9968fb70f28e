"""The faults that the chaos of a cluster draws from: of hosts, processes, links, clocks, disks and the primary's role.

Targets are named by roles, since what matters is where the primary is: `primary`, `standby-1` and `standby-2` are
resolved when a fault begins. A part of a host stands behind a slash. A link is written `A<>B`, or `A>B` where only what
A sends is lost, or where A has made the connections that are slow; `peers` are the other hosts, and `outside` is where
the processors are.
"""

from dataclasses import dataclass

from ops.chaostest.profiles import FaultChoice, Range

ROLES = ("primary", "standby-1", "standby-2")
PEERS = "peers"
OUTSIDE = "outside"
EVERY_HOST = "every-host"
EVERY_REPLICA = "every-replica"
"""The target of a rolling restart, which is not of one host."""
PATRONI = "patroni"
"""The target of orders to Patroni."""
PROCESSES = ("postgres", "patroni", "etcd", "redis", "sentinel", "haproxy", "replica-1", "replica-2")
DISKS = ("disk-postgres", "disk-journal", "disk-system")
PRIMARY_SHARE = 3
"""The primary is drawn this many times as often as each standby."""
BOTH_WAYS, ONE_WAY = "<>", ">"


@dataclass(frozen=True, slots=True)
class ChaosSeries:
    """Faults that begin one after the other, independent of other series."""

    gaps_s: tuple[Range, ...]
    """Ranges of the seconds between two starts; one of them is drawn, then a value in it."""
    choices: tuple[FaultChoice, ...]
    first_at_s: float = 3.0


def _roles(suffix: str = "") -> tuple[str, ...]:
    return tuple(f"{role}{suffix}" for role in ("primary",) * PRIMARY_SHARE + ROLES[1:])


def _skew(seconds: Range, weight: float) -> FaultChoice:
    parameters = {"aheadS": seconds}
    return FaultChoice(
        fault="skew", targets=_roles("/clock"), durations_s=((5, 25),), parameters=parameters, weight=weight
    )


CUT_S = ((4, 9), (10, 28))
"""Ranges of durations: shorter than a failover takes, and longer."""

PARTITIONS = (
    FaultChoice(
        fault="cut",
        targets=("primary<>standby-1", "primary<>standby-2", "standby-1<>standby-2"),
        durations_s=CUT_S,
        weight=2,
    ),
    FaultChoice(
        fault="cut",
        targets=("primary>standby-1", "standby-1>primary", "primary>standby-2", "standby-2>primary"),
        durations_s=CUT_S,
        weight=2,
    ),
    FaultChoice(fault="cut", targets=_roles("<>peers"), durations_s=CUT_S, weight=3),
    FaultChoice(fault="cut", targets=("primary>peers", "peers>primary"), durations_s=CUT_S, weight=2),
)
"""Hosts that do not reach each other, in both directions or in one, while clients reach all of them."""

FAILOVERS = (
    FaultChoice(fault="kill", targets=_roles(), durations_s=((3, 8), (15, 35)), weight=4),
    FaultChoice(fault="wipe", targets=_roles(), durations_s=((3, 8),), weight=2),
    FaultChoice(fault="kill", targets=(EVERY_HOST,), durations_s=((1, 5),), weight=0.7),
    FaultChoice(fault="pause", targets=_roles(), durations_s=((2, 5), (12, 30)), weight=2),
    FaultChoice(fault="switchover", targets=(PATRONI,), weight=3),
    FaultChoice(fault="failover", targets=(PATRONI,), weight=1),
    FaultChoice(fault="promote", targets=ROLES[1:], weight=1),
)
"""Faults that usually make another host the primary."""

MINOR = (
    FaultChoice(
        fault="kill",
        targets=tuple(f"{role}/{process}" for role in _roles() for process in PROCESSES),
        weight=5,
    ),
    FaultChoice(
        fault="pause",
        targets=tuple(f"{role}/{process}" for role in _roles() for process in PROCESSES),
        durations_s=((0.5, 3), (4, 12)),
        weight=3,
    ),
    FaultChoice(fault="cut", targets=_roles("<>outside"), durations_s=((3, 12),), weight=2),
    FaultChoice(fault="cut", targets=("outside>primary",), durations_s=((3, 12),), weight=1),
    FaultChoice(
        fault="fill",
        targets=tuple(f"{role}/{disk}" for role in _roles() for disk in DISKS),
        durations_s=((4, 15),),
        weight=2,
    ),
    _skew((-10, 10), 1),
    _skew((-600, 600), 0.7),
    _skew((3600, 3600), 0.4),
    _skew((-3600, -3600), 0.4),
)
"""Faults that a cluster should hardly notice, even during larger ones."""

LINKS = (
    FaultChoice(
        fault="slow",
        targets=("primary>standby-1", "standby-1>primary", "standby-2>primary", "primary>outside", "standby-1>outside"),
        durations_s=((3, 15),),
        parameters={"delayMs": (5, 400)},
        weight=2,
    ),
    FaultChoice(
        fault="stall",
        targets=("primary>standby-1", "standby-1>primary", "standby-2>primary", "primary>outside", "standby-1>outside"),
        durations_s=((2, 10),),
        weight=2,
    ),
)
"""Links on which everything arrives late, or nothing arrives while connections stay open."""


def _processor(fault: str, weight: float = 1, **parameters: Range) -> FaultChoice:
    targets = ("default", "default", "fallback")
    return FaultChoice(fault=fault, targets=targets, durations_s=((2, 8),), parameters=parameters, weight=weight)


PROCESSORS = (
    _processor("failures", failureRate=(0.1, 0.6)),
    _processor("hangs", commitThenHangRate=(0.02, 0.1)),
    _processor("drops", commitThenDropRate=(0.02, 0.2)),
    _processor("delays", delayMs=(50, 800)),
)
"""Faults that make outcomes unknown, so that a failover finds payments in each of their states."""

ROLLING = (FaultChoice(fault="restart", targets=(EVERY_REPLICA,)),)
"""All replicas end in good order and are started again, one after another, as an upgrade does it."""

SERIES = (
    ChaosSeries(((12, 20), (18, 30), (30, 40)), (*PARTITIONS, *FAILOVERS)),
    ChaosSeries(((4, 10), (8, 16)), (*MINOR, *LINKS), first_at_s=6.0),
    ChaosSeries(((10, 20), (15, 40)), PROCESSORS, first_at_s=10.0),
    ChaosSeries(((60, 100),), ROLLING, first_at_s=15.0),
)


def _lag(standby: str, first_at_s: float) -> ChaosSeries:
    lag = FaultChoice(
        fault="slow", targets=(f"{standby}>primary",), durations_s=((18, 18),), parameters={"delayMs": (1500, 1500)}
    )
    return ChaosSeries(((45, 45),), (lag,), first_at_s)


LOSING = (
    _lag("standby-1", 5.0),
    _lag("standby-2", 5.5),
    ChaosSeries(((45, 45),), (FaultChoice(fault="wipe", targets=("primary",), durations_s=((12, 12),)),), 15.0),
)
"""Faults that lose answered payments if a standby need not have them: the primary is lost while both lag behind."""
