"""Reserves TCP ports for tests and benchmarks, so that two processes on one machine never get the same ones.

The ports are divided into fixed blocks. The first port of a block is its guard: a process reserves the block by
binding the guard, without listening, until it ends. No other process can bind the guard meanwhile, and the kernel
frees it with the process, however that ends. The other ports stay unbound for the servers that the process starts.
"""

import atexit
import socket
from contextlib import ExitStack
from random import SystemRandom

from ops import OpsError

BLOCKS = range(11_000, 32_000, 10)
"""The guards of all blocks; ports lie above those that `ops/up` uses by default, and below those that systems give to
outgoing connections, one of which could take a port whose server is being restarted."""

WIDE_BLOCKS = range(32_000, 32_700, 70)
"""The guards of a few more blocks, each wide enough for a gateway of as many replicas as `ops/up` starts at most."""

_guards = ExitStack()
"""The guards that this process holds."""

atexit.register(_guards.close)


def reserve_ports(count: int, blocks: range | None = None) -> range:
    """Reserve `count` consecutive free ports for the lifetime of this process.

    Args:
        count: how many ports, at most one fewer than the step of `blocks`.
        blocks: the guard of every block that may be taken; by default `BLOCKS`, or `WIDE_BLOCKS` for more ports than
            one of those has.

    Raises:
        OpsError: every block is reserved or in use.
    """
    blocks = blocks or (BLOCKS if count < BLOCKS.step else WIDE_BLOCKS)
    if count >= blocks.step:
        raise ValueError(f"a block has room for {blocks.step - 1} ports, not for {count}")
    # The random start keeps processes that start together from searching through the same blocks.
    start = SystemRandom().randrange(len(blocks))
    for guard in (*blocks[start:], *blocks[:start]):
        ports = range(guard + 1, guard + 1 + count)
        with ExitStack() as held:
            if _bind(guard, held) and all(_is_free(port) for port in ports):
                _guards.push(held.pop_all())
                return ports
    raise OpsError(f"all ports between {blocks.start} and {blocks.stop} are in use: end what listens there")


def _is_free(port: int) -> bool:
    with ExitStack() as held:
        return _bind(port, held)


def _bind(port: int, owner: ExitStack) -> bool:
    """Bind a port until `owner` ends; return False if another process has it."""
    bound = owner.enter_context(socket.socket())
    try:
        bound.bind(("0.0.0.0", port))  # noqa: S104 - on every address, so that nobody else can have it on one
    except OSError:
        return False
    return True
