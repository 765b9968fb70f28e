"""`python -m ops.loadtest.sampler PORT FILE`: notes what the gateway on a port of this machine uses, every two seconds.

It is a process of its own, so that reading memory delays no payment, and ends with the process that started it. Each
line of FILE is JSON with the CPU time so far and the memory now of each process or container, by its name.
"""

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ops.loadtest.parts import WatchedPart, find_parts

STEP_S = 2.0


def main(arguments: Sequence[str]) -> None:
    """Note figures until the parent ends."""
    port, path = int(arguments[0]), Path(arguments[1])
    parent = os.getppid()
    parts = find_parts(port, parent)
    with path.open("w") as file:
        while os.getppid() == parent:
            file.write(json.dumps({name: sample(part) for name, part in parts.items()}) + "\n")
            file.flush()
            time.sleep(STEP_S)


def sample(part: WatchedPart) -> dict[str, float | None]:
    """Read what a part uses now, and its limits."""
    periods, throttled = part.periods()
    return {
        "at_s": time.monotonic(),
        "cpu_s": part.cpu_s(),
        "bytes": part.memory_bytes(),
        "bytes_max": part.bytes_max,
        "cpus_max": part.cpus_max,
        "periods": periods,
        "throttled": throttled,
    }


if __name__ == "__main__":
    main(sys.argv[1:])
