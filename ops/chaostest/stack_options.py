"""The stack that a chaos run works on, with timeouts short enough for many faults in little time."""

from pathlib import Path

from ops.stack.settings import StackOptions

PROCESSOR_DELAY_MS_MAX = 3_000
"""The longest delay that replicas are told to expect of a processor; no profile delays a charge for longer."""


def make_stack_options(state_dir: Path, charge_timeout_ms: int) -> StackOptions:
    """Make the options of a stack that keeps its state in `state_dir` and listens on reserved ports."""
    timeouts = {"CHARGE_TIMEOUT_MS": str(charge_timeout_ms), "PROCESSOR_DELAY_MAX_MS": str(PROCESSOR_DELAY_MS_MAX)}
    return StackOptions.on_reserved_ports(state_dir, timeouts)
