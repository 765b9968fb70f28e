"""The stack that a trial runs on: free ports, a state of its own, timeouts short enough to meet many faults."""

import os
import socket
from pathlib import Path
from random import SystemRandom

from ops.settings import Settings

CHARGE_TIMEOUT_MS = 1_000
PROCESSOR_DELAY_MS_MAX = 3_000
"""What the replicas are told to expect of processors; no profile delays a charge for longer."""
LOWEST_PORT, HIGHEST_PORT = 10_000, 32_000
"""Below the ports that systems give to outgoing connections: such a one could take a port whose listener is away."""


def make_settings(state_dir: Path) -> Settings:
    """Choose free ports and the replicas' settings."""
    block = 4
    port = free_block(block + 4)
    processors, admins = (port + block, port + block + 1), (port + block + 2, port + block + 3)
    return Settings(
        port=port,
        replicas=3,
        state_dir=state_dir,
        processor_ports=processors,
        admin_ports=admins,
        environment={
            **os.environ,
            "CHARGE_TIMEOUT_MS": str(CHARGE_TIMEOUT_MS),
            "PROCESSOR_DELAY_MAX_MS": str(PROCESSOR_DELAY_MS_MAX),
        },
    )


def free_block(size: int) -> int:
    """Find the first of so many consecutive ports that nobody uses now."""
    while True:
        first = SystemRandom().randrange(LOWEST_PORT, HIGHEST_PORT - size)
        if all(_is_free(first + offset) for offset in range(size)):
            return first


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("0.0.0.0", port))  # noqa: S104 - it is closed at once
        except OSError:
            return False
        return True
