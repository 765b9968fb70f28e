"""The folder in which a cluster notes what it has made of this machine, so that all of it can be removed."""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import time
from pathlib import Path

from ops import OpsError
from ops.clustertest.assembly import DISKS_MB
from ops.clustertest.disks import HostDisk
from ops.clustertest.namespaces import claim_switch, identity, remove_network
from ops.clustertest.plan import BLOCKS, ClusterPlan

POLL_S = 0.05
DOWN_S_MAX = 30
"""How long a cluster that runs may take to stop."""


class ClusterState:
    """One cluster's folder: a lock while it runs, the number of its network, mounts, configurations and logs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock: int | None = None
        self._plan: ClusterPlan | None = None

    @property
    def plan(self) -> ClusterPlan:
        """The plan that was claimed."""
        assert self._plan is not None, "no cluster was started"  # noqa: S101
        return self._plan

    def claim(self, replicas_per_host: int) -> ClusterPlan:
        """Remove what an earlier cluster left, and reserve a network that no other cluster has.

        Raises:
            OpsError: another cluster runs on this folder, or every network is taken.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        if not self._take_lock():
            raise OpsError(f"another ops/cluster up runs on {self._folder}: stop it, or choose another --state-dir")
        self._remove_left()
        shutil.rmtree(self._folder / "log", ignore_errors=True)
        for block in BLOCKS:
            plan = ClusterPlan(block, self._folder, replicas_per_host)
            if claim_switch(plan):
                self._note.write_text(json.dumps({"block": block, "switch": identity(plan.switch)}))
                self._plan = plan
                return plan
        raise OpsError(f"all {len(BLOCKS)} networks are taken by other clusters: stop one, or remove its namespaces")

    def clear(self) -> None:
        """End what is left of the claimed cluster, remove it from this machine, and give the folder back."""
        if self._lock is not None:
            self._remove_left()
            self.release()

    def release(self) -> None:
        """Unlock the folder and leave it as it is, as the end of this process does."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def stop_running(self) -> bool:
        """Ask a cluster that runs on this folder to stop, and remove what is left; return whether there was anything.

        Raises:
            OpsError: it does not stop.
        """
        if not self._folder.exists():
            return False
        deadline = time.monotonic() + DOWN_S_MAX
        asked = False
        while not self._take_lock():
            if not asked:
                asked = self._ask_owner()
            if time.monotonic() > deadline:
                raise OpsError(f"the ops/cluster up on {self._folder} does not stop within {DOWN_S_MAX} s: kill it")
            time.sleep(POLL_S)
        was_there = self._remove_left()
        self.clear()
        return asked or was_there

    @property
    def _note(self) -> Path:
        return self._folder / "cluster.json"

    def _take_lock(self) -> bool:
        lock = os.open(self._folder / "cluster.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        os.truncate(lock, 0)
        os.write(lock, str(os.getpid()).encode())
        self._lock = lock
        return True

    def _ask_owner(self) -> bool:
        """Send SIGTERM to the process that holds the lock."""
        with contextlib.suppress(OSError, ValueError):
            os.kill(int((self._folder / "cluster.lock").read_text()), signal.SIGTERM)
            return True
        return False

    def _remove_left(self) -> bool:
        """Remove what is noted; return whether there was anything."""
        try:
            note = json.loads(self._note.read_text())
            plan, switch = ClusterPlan(int(note["block"]), self._folder), note["switch"]
        except (OSError, ValueError, KeyError, TypeError):
            return False
        # After a restart of the machine another cluster may have the network.
        if identity(plan.switch) == switch:
            remove_network(plan)
        for host in plan.hosts:
            for name, size_mb in DISKS_MB.items():
                HostDisk(plan.disk_dir(host, name), size_mb).unmount()
            shutil.rmtree(self._folder / host.name, ignore_errors=True)
        shutil.rmtree(self._folder / plan.outside.name, ignore_errors=True)
        self._note.unlink()
        return True
