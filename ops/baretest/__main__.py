"""`python -m ops.baretest`, which is `ops/bare`."""

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ops import ExitStatus
from ops.baretest.container import Container, build, clone
from ops.baretest.options import COMMAND, BareOptions, parse_bare_options
from ops.baretest.trial import MachineReport, try_machine
from ops.console import Console, RunVerdict
from ops.environment import ROOT
from ops.foreground import interrupt_on_end_signals, run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the machines one after another."""
    options = parse_bare_options(sys.argv[1:] if arguments is None else arguments)
    return run_command(COMMAND, lambda: _run(options))


def _run(options: BareOptions) -> ExitStatus:
    console = Console(as_json=options.as_json)
    with tempfile.TemporaryDirectory() as folder:
        clone(ROOT, Path(folder) / "fiel")
        for machine in options.machines:
            console.say(f"{machine.name:9} builds its image from {machine.image}")
            build(machine, Path(folder))
    reports = []
    for machine in options.machines:
        with Container(machine, options.run_options) as container:
            reports.append(try_machine(machine.name, container, options.test_arguments, console.say))
    rows = [(report.machine, report.words) for report in reports]
    return console.conclude(judge(reports), rows, {"machines": [asdict(report) for report in reports]})


def judge(reports: Sequence[MachineReport]) -> RunVerdict:
    """Say whether all holds on every machine."""
    broken = [report.machine for report in reports if report.fault is not None]
    if broken:
        return RunVerdict(f"Broken: {len(broken)} of {len(reports)} machines: {', '.join(broken)}.", kept=False)
    tried = ", ".join(report.machine for report in reports)
    return RunVerdict(f"Kept: Python and its venv are enough on {tried}.", kept=True)


if __name__ == "__main__":
    interrupt_on_end_signals()
    sys.exit(main())
