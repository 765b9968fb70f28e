"""Postgres' tables in memory, which all simulated replicas share."""

from dataclasses import dataclass, field
from uuid import UUID

from actors.domain.money import Money
from actors.domain.payment import Claim, Payment, Settlement
from actors.domain.wall_clock import ClockReading


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
    watermark_ms: int
    published_ms: int = 0
    beats: int = 0
    left_epoch: int = 0
    clock: ClockReading | None = None

    @property
    def has_left(self) -> bool:
        """Whether the lease has ended."""
        return self.left_epoch >= self.epoch

    def end_epoch(self) -> None:
        """Let the replica have left, whatever it still sends."""
        self.epoch += 1
        self.left_epoch = self.epoch


@dataclass
class MemoryTables:
    """What several replicas share, as they share one Postgres."""

    payments: dict[UUID, Payment] = field(default_factory=dict)
    claims: dict[UUID, OwnedClaim] = field(default_factory=dict)
    settlements: dict[UUID, Settlement] = field(default_factory=dict)
    conflicts: dict[UUID, dict[Money, Payment]] = field(default_factory=dict)
    """Other payments that were offered under an id, by their amounts."""
    leases: dict[str, Lease] = field(default_factory=dict)
    generation: int = 0
    purged_generation: int = 0

    def gone(self) -> list[str]:
        """Name the replicas that have left."""
        return [name for name, lease in self.leases.items() if lease.has_left]

    def owners(self) -> set[str]:
        """Name the replicas that have unsettled payments."""
        return {owned.owner for owned in self.claims.values()}


@dataclass
class MemoryFence:
    """The registration that a replica writes under."""

    replica: str = "1"
    epoch: int = 0
