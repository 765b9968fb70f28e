"""Network namespaces of Linux: made, joined by a bridge, entered, searched for processes, and removed.

A namespace stands for a machine: every process in a namespace of a cluster belongs to the cluster.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from ops import OpsError
from ops.clustertest.plan import ClusterPlan, Place

NAMESPACES = Path("/run/netns")
"""The folder in which `ip netns` keeps the names."""
SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
COMMAND_S_MAX = 10
KILL_S_MAX = 10
POLL_S = 0.01


def run(*command: str) -> str:
    """Run a command of the system and return what it printed.

    Raises:
        OpsError: it failed.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_S_MAX, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OpsError(f"{' '.join(command)}: {error}") from error
    if done.returncode != 0:
        raise OpsError(f"{' '.join(command)}: {' '.join(done.stderr.split()) or f'exit status {done.returncode}'}")
    return done.stdout


def program(name: str) -> str:
    """Return the path of a program, also of those that only root has in its path."""
    return shutil.which(name) or shutil.which(name, path=SYSTEM_PATH) or name


def may_be_made() -> bool:
    """Tell whether this process may make namespaces; a container's root often may not."""
    try:
        run(program("unshare"), "--net", "--mount", program("true"))
    except OpsError:
        return False
    return True


def inside(place: Place) -> list[str]:
    """Return the command-line prefix that runs a command on a place; the command needs its whole path."""
    if not place.namespace:
        return []
    return [program("nsenter"), f"--net={NAMESPACES / place.namespace}", "--"]


def claim_switch(plan: ClusterPlan) -> bool:
    """Make the namespace of a plan's bridge, which reserves the plan's block; return False where that is taken."""
    if (NAMESPACES / plan.switch).exists():
        return False
    try:
        run("ip", "netns", "add", plan.switch)
    except OpsError:
        if (NAMESPACES / plan.switch).exists():
            return False
        raise
    return True


def identity(namespace: str) -> int | None:
    """Return the number by which the kernel knows a namespace as long as it is there, or None where it is not."""
    try:
        return (NAMESPACES / namespace).stat().st_ino
    except OSError:
        return None


def build_network(plan: ClusterPlan) -> None:
    """Make the bridge and the namespaces of all places, and join them; the switch has been claimed.

    Raises:
        OpsError: this system lacks something for it.
    """
    run("ip", "-n", plan.switch, "link", "add", "bridge", "type", "bridge")
    run("ip", "-n", plan.switch, "link", "set", "bridge", "up")
    for place in (*plan.hosts, plan.outside):
        run("ip", "netns", "add", place.namespace)
        run("ip", "-n", place.namespace, "link", "set", "lo", "up")
        peer = ("peer", "name", place.name, "netns", plan.switch)
        run("ip", "-n", place.namespace, "link", "add", "eth0", "type", "veth", *peer)
        _join(plan, place.name)
        run("ip", "-n", place.namespace, "addr", "add", f"{place.address}/24", "dev", "eth0")
        run("ip", "-n", place.namespace, "link", "set", "eth0", "up")
    # The machine's own end has the prefix as its name, and goes away with the switch.
    run("ip", "link", "add", plan.prefix, "type", "veth", "peer", "name", plan.client.name, "netns", plan.switch)
    _join(plan, plan.client.name)
    run("ip", "addr", "add", f"{plan.client.address}/24", "dev", plan.prefix)
    run("ip", "link", "set", plan.prefix, "up")


def _join(plan: ClusterPlan, port: str) -> None:
    run("ip", "-n", plan.switch, "link", "set", port, "master", "bridge")
    run("ip", "-n", plan.switch, "link", "set", port, "up")


def remove_network(plan: ClusterPlan) -> None:
    """End every process in the namespaces of a plan, and remove them all; may be called again."""
    for place in (*plan.hosts, plan.outside):
        kill_all(place)
        _remove(place.namespace)
    with contextlib.suppress(OpsError):
        run("ip", "link", "del", plan.prefix)
    # The switch is removed last, since it reserves the block.
    _remove(plan.switch)


def _remove(namespace: str) -> None:
    if (NAMESPACES / namespace).exists():
        run("ip", "netns", "del", namespace)


def pids(place: Place) -> list[int]:
    """Return the ids of all processes on a place, those included that have left their parents."""
    try:
        wanted = (NAMESPACES / place.namespace).stat()
    except OSError:
        return []
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                own = os.stat(f"/proc/{entry.name}/ns/net")  # noqa: PTH116  # a thousand of them at a time
                if (own.st_ino, own.st_dev) == (wanted.st_ino, wanted.st_dev):
                    found.append(int(entry.name))
    return found


def signal_all(place: Place, number: signal.Signals, wanted: Sequence[int] | None = None) -> None:
    """Send a signal to all processes on a place, or to those that are wanted."""
    for pid in pids(place) if wanted is None else wanted:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def kill_all(place: Place) -> None:
    """End all processes on a place at once; return when none is left.

    Raises:
        OpsError: some do not end.
    """
    assert place.namespace, "the processes of this machine itself are not the cluster's"  # noqa: S101
    deadline = time.monotonic() + KILL_S_MAX
    while left := pids(place):
        signal_all(place, signal.SIGKILL, left)
        if time.monotonic() > deadline:
            raise OpsError(f"processes {left} of {place.namespace} do not end: they wait for the kernel")
        time.sleep(POLL_S)
