"""What faults meet: processes that are killed, paused and started again; processors that misbehave by request."""

import math
from collections.abc import Mapping
from typing import Protocol

import msgspec
import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ops import OpsError
from ops.embedded import PostgreSQL, Redis
from ops.parts import Simulator
from ops.process import Process
from ops.trial.line import administer
from ops.trial.plan import PlannedFault

STOP_S_MAX = 8.0


class Target(Protocol):
    """Whom faults meet, each from one thread at a time."""

    name: str

    def begin(self, fault: PlannedFault) -> None:
        """Let a fault begin.

        Raises:
            OpsError: it can't; the trial goes on.
        """

    def end(self, fault: PlannedFault) -> None:
        """Let it end.

        Raises:
            OpsError: it can't; `lift` will.
        """

    def lift(self) -> None:
        """Make it work, whatever is on."""

    def unexpected_end(self) -> str | None:
        """Tell of an end that no fault brought about."""


class ProcessTarget:
    """A process that is killed, stopped in good order, paused."""

    def __init__(self, part: Process) -> None:
        self.name = part.name
        self._part = part

    def begin(self, fault: PlannedFault) -> None:
        """See `Target`."""
        match fault.fault:
            case "kill":
                self._part.kill()
            case "stop":
                self._part.stop(STOP_S_MAX)
            case "pause":
                self._part.pause()
            case other:
                raise OpsError(f"{self.name} knows no fault {other}")

    def end(self, _fault: PlannedFault) -> None:
        """See `Target`."""
        self.lift()

    def lift(self) -> None:
        """See `Target`."""
        self._part.resume()
        self._part.start()

    def unexpected_end(self) -> str | None:
        """See `Target`."""
        if self._part.pid is not None:
            return None
        return f"{self.name} ended by itself with exit status {self._part.exit_status}:{self._part.tail()}"


class PostgresTarget(ProcessTarget):
    """PostgreSQL, whose connections can also be cut."""

    def __init__(self, part: PostgreSQL) -> None:
        super().__init__(part)
        self._url = part.url

    def begin(self, fault: PlannedFault) -> None:
        """See `Target`."""
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
    """Redis, which can also be emptied."""

    def __init__(self, part: Redis) -> None:
        super().__init__(part)
        self._url = part.url

    def begin(self, fault: PlannedFault) -> None:
        """See `Target`."""
        if fault.fault != "flush":
            super().begin(fault)
            return
        try:
            with redis.Redis.from_url(self._url, socket_timeout=2, retry=Retry(NoBackoff(), 0)) as client:
                client.flushall()
        except redis.RedisError as error:
            raise OpsError(str(error)) from error


class ProcessorTarget:
    """A simulated processor, which meets several faults at once."""

    def __init__(self, part: Simulator) -> None:
        self.name = part.name
        self._part = part
        self._on: list[PlannedFault] = []
        self._changes = 0

    def begin(self, fault: PlannedFault) -> None:
        """See `Target`."""
        self._on.append(fault)
        self._change()

    def end(self, fault: PlannedFault) -> None:
        """See `Target`."""
        self._on.remove(fault)
        self._change()

    def lift(self) -> None:
        """See `Target`."""
        self._on.clear()
        self._part.start()
        self._change()

    def unexpected_end(self) -> str | None:
        """See `Target`."""
        return None if self._part.pid is not None else f"{self.name} ended by itself:{self._part.tail()}"

    def _change(self) -> None:
        # Each change draws anew; with one seed each would begin with the same requests.
        self._changes += 1
        faults = {"seed": self._changes, **merge(self._on)}
        administer(self._part.admin_url, "PUT", "/admin/faults", msgspec.json.encode(faults))


def merge(faults: list[PlannedFault]) -> Mapping[str, object]:
    """Make one set, as the simulator takes it, of the faults that are on: rates add up, of the rest the largest counts.

    Rates that sum to more than 1 are scaled down.
    """
    rates: dict[str, float] = {}
    others: dict[str, float] = {}
    for fault in faults:
        for name, value in fault.parameters.items():
            if name.endswith("Rate"):
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
    return merged | others
