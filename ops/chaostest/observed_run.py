"""All that was seen of a chaos run, for its result and its page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from ops.chaostest.checker import CheckResult
from ops.chaostest.history import History
from ops.chaostest.neighbour_verdict import NeighbourFigures
from ops.chaostest.nemesis import InjectedFault
from ops.chaostest.routing_figures import BreakerChange


@dataclass(frozen=True, slots=True)
class ObservedRun:
    """All that was seen of a chaos run while its gateway was there."""

    history: History
    check: CheckResult
    """What the checker found in the history."""
    faults: Mapping[str, int]
    """How often each kind of fault was injected."""
    injected: Sequence[InjectedFault]
    began_ms: int
    """When the load began, in milliseconds since the epoch."""
    rest_s: float | None
    """Seconds from the end of the last fault until everything was settled; None where that took too long."""
    changes: Sequence[BreakerChange] = ()
    neighbours: NeighbourFigures | None = None
    """What bad neighbours cost others; None where there were none."""
    histories: Mapping[UUID, Sequence[Any]] = field(default_factory=dict)
    """The histories that the gateway told of suspicious payments."""
