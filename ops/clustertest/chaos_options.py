"""The command line of `ops/cluster chaos`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ops.arguments import add_json_option, make_parser, positive_count, positive_number
from ops.clustertest.options import ClusterOptions, settings_fault
from ops.environment import ROOT

COMMAND = "ops/cluster chaos"
SECONDS = 300.0
RATE = 67.0
DURABILITY = "ledger"
STRETCH_MAX = 1.5
"""How many times as long as planned a run may take until it has what was asked for."""


@dataclass(frozen=True, slots=True)
class ClusterChaosOptions:
    """The options of one chaos run of a cluster."""

    seconds: float
    """The least time for which payments are offered."""
    payments: int
    """The least number of payments that have to be accepted."""
    faults: int
    """The least number of failovers and partitions that there have to be."""
    rate: float
    """New payments per second."""
    seed: int
    out: Path
    """The folder in which a run leaves its findings."""
    replicas_per_host: int = 2
    durability: str = DURABILITY
    is_asynchronous: bool = False
    """Whether PostgreSQL acknowledges a commit before a standby has it."""
    keeps_all: bool = False
    """Whether a run that broke nothing leaves its findings too."""
    history: Path | None = None
    report: Path | None = None
    as_json: bool = False

    @property
    def seconds_max(self) -> float:
        """The longest time for which payments are offered."""
        return STRETCH_MAX * max(self.seconds, self.payments / self.rate, self.faults * SECONDS_PER_DISRUPTION)


SECONDS_PER_DISRUPTION = 25.0
"""The drawn faults bring a failover or a partition about once in this time."""


def parse_cluster_chaos(arguments: Sequence[str]) -> ClusterChaosOptions:
    """Read the command line."""
    parser = make_parser(
        COMMAND,
        "Start a cluster of three hosts on this machine, put it under load, and kill hosts and processes, cut and slow "
        "links, switch over and promote, skew clocks and fill disks as the seed decides. Then end all faults, and "
        "check every payment twice: by an audit of all books and tables, and by the independent judge.",
        kept="every promise was kept, and the run had all that was asked for",
        broken="a promise broke, or the run proves too little; the folder --out has the details",
        takes="the time asked for, and some two minutes to start, to recover and to check",
        examples={
            COMMAND: "five minutes of everything",
            f"{COMMAND} --payments 100000 --faults 50 --report run.html": "some 25 minutes, with a page to open",
            f"{COMMAND} --seed 7 --seconds 120 --json > result.json": "for scripts",
            f"{COMMAND} --asynchronous --seed 3": "what is lost if commits do not wait for a standby",
        },
        notes="It needs root, Linux and the packages that ops/cluster up names where they are missing.",
    )
    parser.add_argument(
        "--seconds", type=positive_number, help=f"offer payments for at least this many seconds; default: {SECONDS:g}"
    )
    parser.add_argument(
        "--payments", type=positive_count, default=0, help="go on until this many payments are accepted"
    )
    parser.add_argument(
        "--faults", type=positive_count, default=0, help="go on until there were this many failovers and partitions"
    )
    parser.add_argument("--rate", type=positive_number, default=RATE, help=f"new payments a second; default: {RATE:g}")
    parser.add_argument("--seed", type=int, default=1, help="the same seed draws the same faults; default: 1")
    parser.add_argument("--replicas-per-host", type=positive_count, default=2, help="how many run; default: 2")
    parser.add_argument("--durability", default=DURABILITY, help=f"DURABILITY of the replicas; default: {DURABILITY}")
    parser.add_argument(
        "--asynchronous",
        action="store_true",
        help="let commits not wait for a standby, to see that the checks find what is lost",
    )
    parser.add_argument(
        "--out", type=Path, help="the folder that a failing run leaves; default: var/cluster-chaos/SEED"
    )
    parser.add_argument("--history", type=Path, metavar="FILE", help="write the run's history, for ops/judge")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write a page of the run, one HTML file")
    add_json_option(parser)
    given = parser.parse_args(arguments)
    fault = settings_fault(ClusterOptions(durability=given.durability, replicas_per_host=given.replicas_per_host))
    if fault is not None:
        parser.error(fault)
    asked_for = given.payments or given.faults
    seconds = given.seconds or (0.0 if asked_for else SECONDS)
    assert math.isfinite(seconds)  # noqa: S101 - `positive_number` reads no other
    return ClusterChaosOptions(
        seconds=seconds,
        payments=given.payments,
        faults=given.faults,
        rate=given.rate,
        seed=given.seed,
        out=(given.out or ROOT / "var" / "cluster-chaos" / str(given.seed)).absolute(),
        keeps_all=given.out is not None,
        replicas_per_host=given.replicas_per_host,
        durability=given.durability,
        is_asynchronous=given.asynchronous,
        history=given.history and given.history.absolute(),
        report=given.report and given.report.absolute(),
        as_json=given.json,
    )
