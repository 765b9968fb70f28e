"""The stack that a chaos run works on, with timeouts short enough for many faults in little time."""

from dataclasses import replace
from pathlib import Path

from ops.chaostest.shifted_clock import APPLICATION, CLOCK_DIR
from ops.stack.settings import StackOptions

PROCESSOR_DELAY_MS_MAX = 3_000
"""The longest delay that replicas are told to expect of a processor; no profile delays a charge for longer."""


def make_stack_options(state_dir: Path, charge_timeout_ms: int, clock_dir: Path | None = None) -> StackOptions:
    """Make the options of a stack that keeps its state in `state_dir` and listens on reserved ports.

    Where `clock_dir` is given, the replicas' clocks are as wrong as the files in there say.
    """
    timeouts = {"CHARGE_TIMEOUT_MS": str(charge_timeout_ms), "PROCESSOR_DELAY_MAX_MS": str(PROCESSOR_DELAY_MS_MAX)}
    if clock_dir is None:
        return StackOptions.on_reserved_ports(state_dir, timeouts)
    options = StackOptions.on_reserved_ports(state_dir, {**timeouts, CLOCK_DIR: str(clock_dir)})
    return replace(options, application=APPLICATION)
