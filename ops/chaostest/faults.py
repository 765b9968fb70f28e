"""The targets of faults: processes that are killed, paused and restarted, and processors that misbehave on request."""

import math
from collections.abc import Mapping
from typing import Protocol

import msgspec
import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ops import OpsError
from ops.chaostest.client import administer
from ops.chaostest.planted_faults import PlantedFaults
from ops.chaostest.schedule import ScheduledFault
from ops.simulator.faults import Faults
from ops.stack.embedded import PostgresServer, RedisServer
from ops.stack.process import ManagedProcess
from ops.stack.services import SimulatorProcess

DRAWN_RATES = frozenset(f"{fault.value}Rate" for fault, _ in Faults().rates())
"""The names of the rates of faults that are drawn for each request, which together may not exceed 1."""
STOP_S_MAX = 8.0
"""How long a service may take to shut down before it is killed."""


class FaultTarget(Protocol):
    """Something that faults are injected into; each target is used by one thread at a time."""

    name: str
    """The name that schedules call it by."""

    def begin(self, fault: ScheduledFault) -> None:
        """Start a fault.

        Raises:
            OpsError: the fault could not be started; the run continues.
        """

    def end(self, fault: ScheduledFault) -> None:
        """End a fault that was started.

        Raises:
            OpsError: the fault could not be ended; `restore` will end it.
        """

    def restore(self) -> None:
        """End all faults of this target, and start it if it is dead."""

    def unexpected_end(self) -> str | None:
        """Describe why the target is dead; return None while it is alive."""


class ProcessTarget:
    """A service that can be killed, shut down or paused."""

    def __init__(self, service: ManagedProcess) -> None:
        self.name = service.name
        self._service = service

    def begin(self, fault: ScheduledFault) -> None:
        """Kill, shut down or pause the service."""
        match fault.fault:
            case "kill":
                self._service.kill()
            case "stop":
                self._service.stop(STOP_S_MAX)
            case "pause":
                self._service.pause()
            case other:
                raise OpsError(f"{self.name} knows no fault {other}")

    def end(self, _fault: ScheduledFault) -> None:
        """End the fault by restoring the service."""
        self.restore()

    def restore(self) -> None:
        """Resume the service if it is paused, and start it if it is dead."""
        self._service.resume()
        self._service.start()

    def unexpected_end(self) -> str | None:
        """Describe why the service is dead; return None while it is alive."""
        if self._service.pid is not None:
            return None
        return f"{self.name} ended by itself with exit status {self._service.exit_status}:{self._service.tail()}"


class ReplicaTarget(ProcessTarget):
    """A replica, whose clock can also be wrong."""

    def __init__(self, service: ManagedProcess, planted: PlantedFaults) -> None:
        super().__init__(service)
        self._planted = planted

    def begin(self, fault: ScheduledFault) -> None:
        """Step the clock, or let the replica start with a wrong one, or treat the fault as one of any process."""
        match fault.fault:
            case "step":
                self._planted.clock_offset_ms = int(fault.parameters["clockMs"])
            case "rejoin":
                self._service.kill()
                self._planted.clock_offset_ms = int(fault.parameters["clockMs"])
                self._service.start()
            case _:
                super().begin(fault)

    def restore(self) -> None:
        """Set the clock right, resume the replica if it is paused, and start it if it is dead."""
        self._planted.clock_offset_ms = 0
        super().restore()


class PostgresTarget(ProcessTarget):
    """PostgreSQL, whose client connections can also be cut."""

    def __init__(self, service: PostgresServer) -> None:
        super().__init__(service)
        self._url = service.url

    def begin(self, fault: ScheduledFault) -> None:
        """Cut all client connections, or treat the fault as one of any process."""
        if fault.fault != "cut":
            super().begin(fault)
            return
        try:
            with psycopg.connect(self._url, autocommit=True, connect_timeout=5) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
                )
        except psycopg.Error as error:
            raise OpsError(str(error)) from error


class RedisTarget(ProcessTarget):
    """Redis, whose data can also be deleted."""

    def __init__(self, service: RedisServer) -> None:
        super().__init__(service)
        self._url = service.url

    def begin(self, fault: ScheduledFault) -> None:
        """Delete all data, or treat the fault as one of any process."""
        if fault.fault != "flush":
            super().begin(fault)
            return
        try:
            with redis.Redis.from_url(self._url, socket_timeout=2, retry=Retry(NoBackoff(), 0)) as client:
                client.flushall()
        except redis.RedisError as error:
            raise OpsError(str(error)) from error


class ProcessorTarget:
    """A simulated processor, which can have several faults at the same time."""

    def __init__(self, service: SimulatorProcess) -> None:
        self.name = service.name
        self._service = service
        self._active: list[ScheduledFault] = []
        self._changes = 0

    def begin(self, fault: ScheduledFault) -> None:
        """Add a fault to those that the simulator injects."""
        self._active.append(fault)
        self._change()

    def end(self, fault: ScheduledFault) -> None:
        """Remove a fault from those that the simulator injects."""
        self._active.remove(fault)
        self._change()

    def restore(self) -> None:
        """Start the simulator if it is dead, and let it inject no faults."""
        self._active.clear()
        self._service.start()
        self._change()

    def unexpected_end(self) -> str | None:
        """Describe why the simulator is dead; return None while it is alive."""
        return None if self._service.pid is not None else f"{self.name} ended by itself:{self._service.tail()}"

    def _change(self) -> None:
        # A new seed each time, because with the same seed every change would hit the same requests again.
        self._changes += 1
        faults = {"seed": self._changes, **merge(self._active)}
        administer(self._service.admin_url, "PUT", "/admin/faults", msgspec.json.encode(faults))


def merge(faults: list[ScheduledFault]) -> Mapping[str, object]:
    """Merge active faults into the one set that a simulator takes.

    Rates are added up, and scaled down where their sum exceeds 1. Of any other parameter the largest value counts, so
    that ids are declined at the same rate whatever else is active.
    """
    rates: dict[str, float] = {}
    others: dict[str, float] = {}
    for fault in faults:
        for name, value in fault.parameters.items():
            if name in DRAWN_RATES:
                rates[name] = rates.get(name, 0) + value
            else:
                others[name] = max(others.get(name, 0), value)
    scale = max(1.0, math.fsum(rates.values()) * (1 + 1e-9))
    merged: dict[str, object] = {name: rate / scale for name, rate in rates.items()}
    delay_ms = others.pop("delayMs", None)
    if delay_ms is not None:
        merged["delay"] = {"kind": "uniform", "minMs": delay_ms / 10, "maxMs": delay_ms}
    if others.pop("refuse", 0):
        merged["refuse"] = True
    return merged | {name: int(value) if name.endswith("Status") else value for name, value in others.items()}
