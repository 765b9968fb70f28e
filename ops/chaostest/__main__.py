"""`python -m ops.chaostest`, which is `ops/chaos`."""

import sys
from collections.abc import Sequence

from ops import ExitStatus, OpsError
from ops.chaostest.options import COMMAND, ChaosOptions, parse_chaos_options
from ops.console import Console, rows_of
from ops.foreground import on_stop_signal, run_command
from ops.report_file import check_report


def main(arguments: Sequence[str] | None = None) -> int:
    """Do one chaos run; return 0 where every promise was kept, 1 where one broke."""
    options = parse_chaos_options(sys.argv[1:] if arguments is None else arguments)
    return run_command(COMMAND, lambda: _run(options))


def _run(options: ChaosOptions) -> ExitStatus:
    # Imported here, so that --help is answered before any package is installed.
    from ops.chaostest.runner import ChaosRunner  # noqa: PLC0415

    check_report(options.report)
    console = Console(as_json=options.as_json)
    runner = ChaosRunner(options, console)
    on_stop_signal(runner.ask_to_stop)
    try:
        result = runner.run()
    except OpsError as error:
        raise OpsError(f"{error}; what is known: {options.out}") from error
    finally:
        console.end()
    if result.check.lost_conflicts:
        console.say(f"{len(result.check.lost_conflicts)} other amounts were answered 202 and are reported nowhere")
    if options.report is not None:
        console.say(f"page of the run: {options.report}")
    if not result.ok:
        console.say(f"what is known: {options.out}")
    return console.conclude(result.verdict, rows_of(result.to_dict()), result.to_dict(), json_in_pipes=True)


if __name__ == "__main__":
    sys.exit(main())
