"""Postgres' tables in memory, which all simulated replicas share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from actors.domain.money import Money
from actors.domain.payment import Claim, Payment, Settlement


@dataclass
class OwnedClaim:
    """A claim and the replica that drives it."""

    owner: str
    claim: Claim


@dataclass
class Lease:
    """What the tables hold of one replica."""

    epoch: int
    generation: int
    until_s: float
    watermark_ms: int
    answered_ms: int


@dataclass
class MemoryTables:
    """What several replicas share, as they share one Postgres. Leases end by `now_s`."""

    now_s: Callable[[], float] = lambda: 0.0
    payments: dict[UUID, Payment] = field(default_factory=dict)
    claims: dict[UUID, OwnedClaim] = field(default_factory=dict)
    settlements: dict[UUID, Settlement] = field(default_factory=dict)
    conflicts: dict[UUID, dict[Money, Payment]] = field(default_factory=dict)
    """Other payments that were offered under an id, by their amounts."""
    leases: dict[str, Lease] = field(default_factory=dict)
    generation: int = 0
    purged_generation: int = 0

    def gone(self) -> list[str]:
        """Name the replicas whose lease has ended."""
        return [name for name, lease in self.leases.items() if lease.until_s <= self.now_s()]

    def owners(self) -> set[str]:
        """Name the replicas that have unsettled payments."""
        return {owned.owner for owned in self.claims.values()}


@dataclass
class MemoryFence:
    """The registration that a replica writes under."""

    replica: str = "1"
    epoch: int = 0
