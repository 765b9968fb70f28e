"""The options of a cluster, and the command line that sets them."""

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from actors.errors import SettingsError
from actors.settings import Settings
from ops.arguments import add_json_option, make_parser
from ops.clustertest.configuration import replica_environment
from ops.clustertest.plan import REPLICAS_PER_HOST_MAX, ClusterPlan
from ops.environment import ROOT

DURABILITY = "ledger"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterOptions:
    """The options of a cluster."""

    state_dir: Path = ROOT / "var" / "cluster"
    replicas_per_host: int = 2
    durability: str = DURABILITY
    """The setting `DURABILITY` of all replicas."""
    wrong_clocks: bool = False
    """Whether the clocks of hosts can be made wrong; reading the time is then somewhat slower."""
    synchronous: bool = True
    """Whether PostgreSQL commits only what a standby has too; without this, a failover loses what no standby has."""
    as_json: bool = False
    """Whether `ops/cluster up` tells what happens as lines of JSON."""
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    """The environment variables of replicas and simulated processors, except those that the cluster sets."""
    checkout: Path = ROOT
    """The folder of the gateway's code; another release has another checkout."""
    overrides: Callable[[ClusterPlan], Mapping[str, str]] = lambda _: {}
    """Makes settings of replicas that replace the cluster's own, such as those that another release needs."""
    application: str = "gateway.main:application()"
    """What gunicorn serves in each replica; tests name an application with planted faults here."""


def parse_up_options(arguments: Sequence[str], environment: Mapping[str, str]) -> ClusterOptions:
    """Read the command line of `ops/cluster up`."""
    parser = make_parser(
        "ops/cluster up",
        "Start the gateway on three hosts and stay in the foreground. A host is a network namespace of this machine "
        "with etcd, Patroni and PostgreSQL (one primary, a synchronous standby, another one), HAProxy, Redis and "
        "Sentinel, and replicas; two simulated processors are on a fourth. Processes that end are started again. "
        "Ctrl-C or SIGTERM ends all of it.",
        kept="it was ready, and was asked to stop",
        broken="is not used",
        takes="some 15 s until it is ready; at most 10 s to stop",
        examples={
            "ops/cluster up": "three hosts with two replicas each",
            "ops/cluster up --json | head -1": "for scripts: waits for the line with the addresses",
        },
        notes="It needs Linux, root and packages of Debian, and says which are missing. Disks are in memory: each "
        "start begins with empty ones. docs/cluster.md describes what runs where.",
    )
    parser.add_argument("--replicas-per-host", type=_replicas, default=2, metavar="N", help="how many run; default: 2")
    what = f"the setting DURABILITY of all replicas; default: {DURABILITY}"
    parser.add_argument("--durability", default=DURABILITY, metavar="LEVEL", help=what)
    clocks = "let the clocks of hosts be made wrong (libfaketime)"
    parser.add_argument("--wrong-clocks", action="store_true", help=clocks)
    add_state_option(parser)
    add_json_option(parser, "each event as one line of JSON")
    given = parser.parse_args(arguments)
    options = ClusterOptions(
        state_dir=given.state_dir.absolute(),
        replicas_per_host=given.replicas_per_host,
        durability=given.durability,
        wrong_clocks=given.wrong_clocks,
        as_json=given.json,
        environment=dict(environment),
    )
    fault = settings_fault(options)
    if fault is not None:
        parser.error(fault)
    return options


def add_state_option(parser: argparse.ArgumentParser) -> None:
    """Add the option --state-dir, which tells clusters apart."""
    default = ClusterOptions().state_dir
    what = f"mounts, logs and the cluster's number; default: {default.relative_to(ROOT)}/ of the checkout"
    parser.add_argument("--state-dir", type=Path, default=default, help=what)


def settings_fault(options: ClusterOptions) -> str | None:
    """Return why the gateway refuses its settings, or None where it can start with them."""
    plan = ClusterPlan(0, options.state_dir, options.replicas_per_host)
    settings = replica_environment(plan, plan.hosts[0], 1, options.durability)
    try:
        Settings.from_environment({**options.environment, **settings})
    except SettingsError as error:
        return str(error)
    return None


def _replicas(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= REPLICAS_PER_HOST_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {REPLICAS_PER_HOST_MAX}")
    return int(text)
