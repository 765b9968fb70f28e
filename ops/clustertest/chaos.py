"""`ops/cluster chaos`."""

from collections.abc import Sequence

from ops import ExitStatus, OpsError
from ops.clustertest.chaos_options import COMMAND, ClusterChaosOptions, parse_cluster_chaos
from ops.console import Console, rows_of
from ops.foreground import on_stop_signal, run_command
from ops.report_file import check_report


def main(arguments: Sequence[str]) -> int:
    """Do one chaos run of a cluster; return 0 where every promise was kept, 1 where one broke."""
    options = parse_cluster_chaos(arguments)
    return run_command(COMMAND, lambda: _run(options))


def _run(options: ClusterChaosOptions) -> ExitStatus:
    # Imported here, so that --help is answered before any package is installed.
    from ops.clustertest.chaos_runner import ClusterChaosRunner  # noqa: PLC0415

    check_report(options.report)
    console = Console(as_json=options.as_json)
    runner = ClusterChaosRunner(options, console)
    on_stop_signal(runner.ask_to_stop)
    try:
        result = runner.run()
    except OpsError as error:
        raise OpsError(f"{error}; what is known: {options.out}") from error
    finally:
        console.end()
    if options.report is not None:
        console.say(f"page of the run: {options.report}")
    if options.keeps_all or not result.ok:
        console.say(f"what is known: {options.out}")
    return console.conclude(result.verdict, rows_of(result.to_dict()), result.to_dict(), json_in_pipes=True)
