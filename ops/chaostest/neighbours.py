"""The bad neighbours as targets of faults: crowds of clients, a twin, a name server and a disk that fail."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ops import OpsError
from ops.chaostest.crowd import KINDS, NICE
from ops.chaostest.dead_replica import DeadReplica
from ops.chaostest.faults import FaultTarget
from ops.chaostest.memory_probe import MemoryProbe
from ops.chaostest.neighbour_verdict import NeighbourFigures, RunSpans, measure
from ops.chaostest.planted_faults import PLANTED_DIR, PlantedFaults
from ops.chaostest.schedule import ScheduledFault
from ops.chaostest.workload import OfferedPayment
from ops.stack.ports import reserve_ports
from ops.stack.process import ManagedProcess
from ops.stack.services import ReplicaProcess
from ops.stack.stack import Stack


class CrowdTarget:
    """A crowd of one kind, which comes and goes with the fault; it is a process of its own."""

    def __init__(self, stack: Stack, kind: str, seed: int, scale: float) -> None:
        """`scale` is the share of the scheduled members that really come."""
        self.name = kind
        self.open_max = 0
        """The greatest number of connections that it ever had open at once."""
        self.opened = 0
        """How many connections it has opened."""
        self._urls = [stack.url, *stack.replica_urls]
        self._log = stack.options.state_dir / "log" / f"crowd-{kind}.log"
        self._seed = seed
        self._scale = scale
        self.process: ManagedProcess | None = None
        """Runs while the fault is active."""

    def begin(self, fault: ScheduledFault) -> None:
        """Start the crowd before one replica, or before the port that all share where the parameters name none."""
        count = max(1, round(fault.parameters["members"] * self._scale))
        url = self._urls[int(fault.parameters.get("replica", 0))]
        command = [sys.executable, "-m", "ops.chaostest.crowd", self.name, f"--url={url}", f"--count={count}"]
        self.process = ManagedProcess(self.name, [*command, f"--seed={self._seed}"], log=self._log)
        self.process.start()

    def end(self, _fault: ScheduledFault) -> None:
        """End the crowd, with all its connections.

        Raises:
            OpsError: it had ended by itself.
        """
        crowd = self.process
        if crowd is not None:
            figures = [
                json.loads(line)
                for line in crowd.output().splitlines()
                if line.startswith('{"open"') and line.endswith("}")
            ]
            self.open_max = max(self.open_max, *(each["open"] for each in figures), 0)
            self.opened += max((each["opened"] for each in figures), default=0)
            try:
                crowd.check_alive()
            finally:
                self.restore()

    def restore(self) -> None:
        """End the crowd; may be called again."""
        if self.process is not None:
            self.process.kill()
            self.process = None

    def unexpected_end(self) -> str | None:
        """Return None: without a fault there is no crowd."""
        return None


class TwinTarget:
    """A second process under the name of the first replica, with a journal of its own, as another host would be."""

    name = "twin"

    def __init__(self, stack: Stack) -> None:
        own_dir = stack.options.state_dir / self.name
        options = replace(stack.options, state_dir=own_dir, port=reserve_ports(2)[0])
        env = {"JOURNAL_DIR": str(own_dir / "journal"), PLANTED_DIR: str(own_dir / "planted")}
        self.process = ReplicaProcess(1, options, stack.replica_environment() | env)
        """Runs while the fault is active."""

    def begin(self, _fault: ScheduledFault) -> None:
        """Start the twin, with the priority of a crowd, since it stands for a replica on another machine."""
        self.process.start()
        if self.process.pid is not None:
            os.setpriority(os.PRIO_PROCESS, self.process.pid, NICE)

    def end(self, _fault: ScheduledFault) -> None:
        """Kill the twin."""
        self.process.kill()

    def restore(self) -> None:
        """Kill the twin: there should be none."""
        self.process.kill()

    def unexpected_end(self) -> str | None:
        """Return None: without a fault there is no twin."""
        return None


class PlantedTarget:
    """Faults planted in the processes of replicas: names that are slow, a disk that is full or fails."""

    def __init__(self, name: str, planted: Sequence[PlantedFaults]) -> None:
        self.name = name
        self._planted = planted

    def begin(self, fault: ScheduledFault) -> None:
        """Let all names be slow, or damage the disk of the replica that the parameters name."""
        match fault.fault:
            case "slow":
                for each in self._planted:
                    each.names_are_slow = 1
            case "full":
                self._of(fault).disk_is_full = 1
            case "failing":
                self._of(fault).failing_syncs = 1
            case other:
                raise OpsError(f"{self.name} knows no fault {other}")

    def end(self, fault: ScheduledFault) -> None:
        """End a fault; syncs that are yet to fail still do."""
        match fault.fault:
            case "slow":
                for each in self._planted:
                    each.names_are_slow = 0
            case "full":
                self._of(fault).disk_is_full = 0

    def restore(self) -> None:
        """End what this target can begin; clocks are no part of it."""
        for each in self._planted:
            each.names_are_slow = each.disk_is_full = each.failing_syncs = 0

    def unexpected_end(self) -> str | None:
        """Return None: there is no process."""
        return None

    def _of(self, fault: ScheduledFault) -> PlantedFaults:
        return self._planted[int(fault.parameters["replica"]) - 1]


class Neighbours:
    """All bad neighbours of one run."""

    def __init__(self, stack: Stack, planted_dir: Path, seed: int, scale: float) -> None:
        """`scale` is the share of the scheduled members and rows that really exist."""
        planted = [PlantedFaults(planted_dir / each.name) for each in stack.replicas]
        self.crowds = [CrowdTarget(stack, kind, seed, scale) for kind in KINDS]
        self.dead = DeadReplica(stack.database_url, seed, scale)
        self._memory = MemoryProbe(stack)
        self.targets: tuple[FaultTarget, ...] = (
            *self.crowds,
            self.dead,
            TwinTarget(stack),
            PlantedTarget("names", planted),
            PlantedTarget("disk", planted),
        )

    def start(self) -> None:
        """Start to read the memory of the services that they disturb."""
        self._memory.start()

    def measure(self, offers: Sequence[OfferedPayment], spans: RunSpans, expected: int) -> NeighbourFigures:
        """Make the figures of the run from the payments of disturbed clients, and how many of them were expected."""
        attempts = [attempt for offer in offers for attempt in offer.attempts]
        crowds = {each.name: (each.open_max, each.opened) for each in self.crowds}
        return measure(attempts, spans, self._memory.peaks, crowds, offered=len(offers), expected=expected)

    def stop(self) -> None:
        """End all of them, after the nemesis has stopped; may be called again."""
        self._memory.stop()
        for target in self.targets:
            target.restore()
