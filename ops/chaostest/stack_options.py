"""The stack that a chaos run works on, with timeouts short enough for many faults in little time."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ops.chaostest.planted_faults import APPLICATION, PLANTED_DIR
from ops.stack.ports import reserve_ports
from ops.stack.settings import StackOptions

PROCESSOR_DELAY_MS_MAX = 3_000
"""The longest delay that replicas are told to expect of a processor; no profile delays a charge for longer."""


def make_stack_options(
    state_dir: Path, environment: Mapping[str, str], planted_dir: Path | None = None
) -> StackOptions:
    """Make the options of a stack that keeps its state in `state_dir` and listens on reserved ports.

    Args:
        state_dir: where the stack keeps its data and logs.
        environment: settings of the replicas.
        planted_dir: holds the `PlantedFaults` of the replicas, which then look all servers up by name; None for none.
    """
    settings = {"PROCESSOR_DELAY_MAX_MS": str(PROCESSOR_DELAY_MS_MAX), **environment}
    if planted_dir is None:
        return StackOptions.on_reserved_ports(state_dir, settings)
    options = StackOptions.on_reserved_ports(state_dir, {**settings, PLANTED_DIR: str(planted_dir)})
    postgres_port, redis_port = reserve_ports(2)
    return replace(options, application=APPLICATION, server_ports=(postgres_port, redis_port))
