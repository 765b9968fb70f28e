"""A simulated processor's plug, delay and share of failures, set through its administration."""

from http import HTTPStatus
from secrets import randbits
from typing import Annotated, Any

import msgspec
from gevent.lock import BoundedSemaphore

from actors.adapters.http_connection import Answer
from ops.controls.local_server import LocalServer, ServerAwayError
from ops.simulator.faults import Rate

DELAY_MS_MAX = 10_000
"""Longest delay that may be asked for; after this time the gateway regards an answer as lost."""
TOKEN_FIELD = "X-Rinha-Token: 123\r\n"  # noqa: S105 - the event's public default
_FAULTS, _SETTINGS = "/admin/faults", "/admin/configurations"


class ProcessorRefusedError(Exception):
    """A simulated processor does not do what it is told; the message says which and why."""


class ProcessorChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The settings of a processor that may be changed; those that are left out stay."""

    plug: bool | msgspec.UnsetType = msgspec.UNSET
    delay_ms: Annotated[int, msgspec.Meta(ge=0, le=DELAY_MS_MAX)] | msgspec.UnsetType = msgspec.UNSET
    failure_share: Rate | msgspec.UnsetType = msgspec.UNSET


class ProcessorCondition(msgspec.Struct, frozen=True, rename="camel"):
    """The present settings of a processor."""

    plug: bool = True
    """Whether it takes connections."""
    delay_ms: int = 0
    """How long each charge takes, as its health endpoint says."""
    failure_share: float = 0.0
    """Share of the charges that fail."""


class SimulatedProcessor:
    """One simulated processor; others may change it meanwhile, so it is asked each time."""

    def __init__(self, name: str, admin_port: int) -> None:
        self._name = name
        self._server = LocalServer(name, admin_port, TOKEN_FIELD)
        self._known = ProcessorCondition()
        self._changing = BoundedSemaphore()
        """Changes are made one at a time, because faults are read and replaced as a whole."""

    def condition(self) -> ProcessorCondition:
        """Ask the processor for its condition; the plug of one that is gone is out.

        While it requires another token, its last known condition is given.
        """
        try:
            faults, settings = self._ask("GET", _FAULTS), self._ask("GET", _SETTINGS)
        except ServerAwayError:
            return ProcessorCondition(plug=False)
        except ProcessorRefusedError:
            return self._known
        share = 1.0 if settings["failure"] else faults["failureRate"]
        self._known = ProcessorCondition(not faults["refuse"], settings["delay"], share)
        return self._known

    def change(self, change: ProcessorChange) -> None:
        """Change the settings that are given.

        Raises:
            ServerAwayError: the processor is gone; a part may be changed already.
            ProcessorRefusedError: it does not do what it is told; a part may be changed already.
        """
        with self._changing:
            if change.delay_ms is not msgspec.UNSET:
                self._ask("PUT", f"{_SETTINGS}/delay", {"delay": change.delay_ms})
            if change.failure_share is not msgspec.UNSET:
                # The health endpoint tells of a processor that always fails, and of no other.
                self._ask("PUT", f"{_SETTINGS}/failure", {"failure": change.failure_share == 1})
            if change.plug is not msgspec.UNSET or change.failure_share is not msgspec.UNSET:
                self._change_faults(change)

    def _change_faults(self, change: ProcessorChange) -> None:
        faults = self._ask("GET", _FAULTS)
        del faults["injected"]
        if change.plug is not msgspec.UNSET:
            faults["refuse"] = not change.plug
        if change.failure_share is not msgspec.UNSET:
            # With the same seed as before, the same requests would fail again.
            faults |= {"failureRate": change.failure_share, "seed": randbits(32)}
        self._ask("PUT", _FAULTS, faults)

    def _ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        answer = self._server.ask(method, path, b"" if body is None else msgspec.json.encode(body))
        if answer.status != HTTPStatus.OK:
            raise ProcessorRefusedError(f"{self._name} answered {_describe(answer)}")
        told: dict[str, Any] = msgspec.json.decode(answer.body)
        return told


def _describe(answer: Answer) -> str:
    if answer.status == HTTPStatus.UNAUTHORIZED:
        return "that it asks for another token, as it does while ops/load plays a game"
    return f"{answer.status}: {answer.body.decode(errors='replace')}"
