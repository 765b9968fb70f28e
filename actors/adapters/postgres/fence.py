"""The fencing token of a replica, and the last write that Postgres has acknowledged under it."""

from dataclasses import dataclass

from actors.domain.records import StoreIdentity


@dataclass(frozen=True, slots=True)
class FencedWrite:
    """A write that Postgres has acknowledged, identified by what it noted in its replica's row."""

    mark: int
    """The mark under which it was admitted."""
    transaction: int
    """The number of its transaction."""


@dataclass
class Fence:
    """The fencing token of a replica: leases set its epoch when they register, every write carries it.

    Postgres refuses the claims and moves of any epoch but the latest, so that nothing that an earlier run of the
    replica has sent takes effect after a registration.
    """

    replica: str
    epoch: int = 0
    """0 is never valid: the replica is not registered, or what it holds is older than the last purge."""
    registered_epoch: int = 0
    """The epoch of the last registration of this process, or the one that ended it at a purge; 0 before the first."""
    since_epoch: int = 0
    """The first epoch of this run of the actors. It knows all rows that it has written since, or will soon be told."""
    store: StoreIdentity | None = None
    """The Postgres of the last registration, as it answered last; nothing is written to one that does not follow it."""
    last_write: FencedWrite | None = None
    """The last write that was acknowledged."""
    is_shut: bool = False
    """Whether another Postgres has answered since the last registration: nothing is written before the next one."""
    shut_count: int = 0
    """How often it was shut. Writes that were begun before count as not acknowledged."""

    @property
    def parameters(self) -> dict[str, str | int]:
        """The parameters of each batch, with the only timeline on which it may be written, if that is known."""
        timeline = "" if self.store is None else f"{self.store.timeline:08X}"
        return {"replica": self.replica, "epoch": self.epoch, "timeline": timeline}
