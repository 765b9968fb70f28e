"""`python -m ops.clustertest`, which is `ops/cluster`: run the gateway on three hosts of this machine."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ops import ExitStatus
from ops.arguments import make_parser
from ops.clustertest import chaos
from ops.clustertest.chaos_options import COMMAND as CHAOS
from ops.clustertest.namespaces import pids
from ops.clustertest.options import ClusterOptions, add_state_option, parse_up_options
from ops.clustertest.plan import GATEWAY_PORT
from ops.console import Console, told_end
from ops.foreground import on_stop_signal, print_error, print_line, run_command

if TYPE_CHECKING:
    from ops.clustertest.cluster import HostCluster

UP, DOWN = "ops/cluster up", "ops/cluster down"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the subcommand that the first argument names."""
    given = sys.argv[1:] if arguments is None else arguments
    commands: Mapping[str, Callable[[Sequence[str]], int]] = {"up": up, "chaos": chaos.main, "down": down}
    command = commands.get(given[0]) if given else None
    if command is not None:
        return command(given[1:])
    parser = make_parser(
        "ops/cluster",
        "Run the gateway on three hosts, which are network namespaces of this machine: `up` starts them, `down` "
        "removes what is left of them, and `chaos` injects faults and checks every payment. Each has a --help of its "
        "own.",
        kept="it did what it was asked for",
        broken="`chaos`: a promise broke, or the run proves too little",
        takes="see the --help of each",
        examples={
            UP: "start the cluster and stay in the foreground",
            DOWN: "remove what a killed cluster has left",
            CHAOS: "inject faults, and check every payment",
        },
    )
    parser.add_argument("command", choices=sorted(commands))
    parser.parse_args(given)
    return ExitStatus.WRONG_USAGE


def up(arguments: Sequence[str]) -> int:
    """Run a cluster until SIGINT, SIGTERM or SIGHUP."""
    options = parse_up_options(arguments, os.environ)
    return run_command(UP, lambda: _run(options))


def _run(options: ClusterOptions) -> ExitStatus:
    # Imported here, so that --help is answered before any package is installed.
    from ops.clustertest.cluster import HostCluster  # noqa: PLC0415

    console = Console(as_json=options.as_json)
    cluster = HostCluster(options, console.say)
    on_stop_signal(cluster.ask_to_stop)
    with told_end(console), cluster:
        _tell_ready(console, cluster)
        cluster.watch()
        console.tell("stopping", "stopping")
    return ExitStatus.KEPT


def _tell_ready(console: Console, cluster: "HostCluster") -> None:
    plan = cluster.plan
    primary = cluster.primary()
    if not console.as_json:
        for host in cluster.hosts:
            role = "primary" if host is primary else "standby"
            print_line(f"{host.name:<9}{host.address:<14}{role:<9}{' '.join(host.replica_urls)}")
        urls = " ".join(f"{name} {url}" for name, url in plan.processor_urls.items())
        print_line(f"{plan.outside.name:<9}{plan.outside.address:<14}{'':<9}{urls}")
    console.tell(
        "ready",
        f"ready http://{cluster.hosts[0].address}:{GATEWAY_PORT}\nDATABASE_URL='{cluster.database_url}'",
        pid=os.getpid(),
        replicas=cluster.replica_urls,
        hosts={host.name: host.address for host in cluster.hosts},
        primary=primary.name if primary else None,
        processors=plan.processor_urls,
        database_url=cluster.database_url,
        processes=sum(len(pids(place)) for place in (*plan.hosts, plan.outside)),
    )


def down(arguments: Sequence[str]) -> int:
    """Stop a cluster that runs, and remove what a killed one has left."""
    parser = make_parser(
        DOWN,
        "Stop the cluster that `ops/cluster up` runs, or remove what one that was killed has left: processes, network "
        "namespaces, mounts.",
        kept="nothing of it is left",
        broken="is not used",
        takes="at most 30 s",
        examples={DOWN: "stop the cluster that was started without --state-dir"},
    )
    add_state_option(parser)
    state_dir = parser.parse_args(arguments).state_dir.absolute()

    def stop() -> ExitStatus:
        # Imported here, so that --help is answered before any package is installed.
        from ops.clustertest.state import ClusterState  # noqa: PLC0415

        state = ClusterState(state_dir)
        print_error("the cluster is down" if state.stop_running() else "there was no cluster")
        return ExitStatus.KEPT

    return run_command(DOWN, stop)


if __name__ == "__main__":
    sys.exit(main())
