"""Postgres' tables in memory, which all simulated replicas share."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from uuid import UUID

from actors.domain.money import Money
from actors.domain.payment import Claim, Closing, Mark, Move, Payment, Settlement
from actors.domain.records import KnownPayment, PaymentRecord
from actors.domain.resolution import Resolution, ResolutionAnswer
from actors.domain.wall_clock import ClockReading


@dataclass
class OwnedClaim:
    """A claim and the replica that drives it."""

    owner: str
    claim: Claim
    epoch: int = 0
    """The epoch of the registration that wrote it; 0 where the owner has adopted it."""
    marked: str | None = None


@dataclass
class Lease:
    """What the tables hold of one replica."""

    epoch: int
    generation: int
    watermark_ms: int
    answered_ms: int
    published_ms: int = 0
    beats: int = 0
    left_epoch: int = 0
    clock: ClockReading | None = None
    instance: UUID | None = None
    """The instance that has last taken the name."""
    mark: int = 0
    is_synchronous: bool = False
    writes: int = 0
    """How many batches of the replica were committed."""
    confirmed_timeline: int = 1
    is_emptied: bool = False

    @property
    def has_left(self) -> bool:
        """Whether the lease has ended."""
        return self.left_epoch >= self.epoch

    def end_epoch(self) -> None:
        """Let the replica have left, whatever it still sends."""
        self.epoch += 1
        self.left_epoch = self.epoch


@dataclass
class KeptResolution:
    """What an operator has found out, and what became of that."""

    resolution: Resolution
    answer: ResolutionAnswer | None = None


@dataclass
class MemoryTables:
    """What several replicas share, as they share one Postgres."""

    payments: dict[UUID, Payment] = field(default_factory=dict)
    claims: dict[UUID, OwnedClaim] = field(default_factory=dict)
    settlements: dict[UUID, Settlement] = field(default_factory=dict)
    conflicts: dict[UUID, dict[Money, Payment]] = field(default_factory=dict)
    """Other payments that were offered under an id, by their amounts."""
    closings: dict[UUID, Closing] = field(default_factory=dict)
    disputes: set[Settlement] = field(default_factory=set)
    """Charges of payments that another charge had settled."""
    leases: dict[str, Lease] = field(default_factory=dict)
    resolutions: dict[int, KeptResolution] = field(default_factory=dict)
    """What operators have found out, by its number."""
    end_numbers: dict[UUID, int] = field(default_factory=dict)
    """The number, in the feed, of the end of a payment."""
    last_number: int = 0
    """The last number that was given; it never falls."""
    purge_number: int | None = None
    generation: int = 0
    purged_at_ms: int = 0
    purged_generation: int = 0
    timeline: int = 1
    """Rises when the tables forget something, and when a standby takes over that has everything."""
    is_synchronous: bool = False
    """Whether a standby has what is acknowledged."""
    established_timeline: int = 1
    forgot: tuple[int, int] | None = None
    """The last timeline that was found to lack something, and when."""

    def copy(self) -> "MemoryTables":
        """Copy the tables as they are now, for `forget`."""
        return replace(
            self,
            payments=dict(self.payments),
            claims={key: replace(owned) for key, owned in self.claims.items()},
            settlements=dict(self.settlements),
            conflicts={key: dict(amounts) for key, amounts in self.conflicts.items()},
            closings=dict(self.closings),
            disputes=set(self.disputes),
            leases={name: replace(lease) for name, lease in self.leases.items()},
            end_numbers=dict(self.end_numbers),
        )

    def forget(self, earlier: "MemoryTables") -> None:
        """Put back an earlier copy, as a standby does that had not received the rest; it begins a new timeline."""
        restored = earlier.copy()
        self.payments, self.claims, self.settlements = restored.payments, restored.claims, restored.settlements
        self.conflicts, self.closings, self.disputes = restored.conflicts, restored.closings, restored.disputes
        self.leases, self.generation = restored.leases, restored.generation
        self.purged_at_ms, self.purged_generation = restored.purged_at_ms, restored.purged_generation
        self.end_numbers, self.purge_number = restored.end_numbers, restored.purge_number
        self.established_timeline, self.forgot = restored.established_timeline, restored.forgot
        self.fail_over()

    def fail_over(self) -> None:
        """Let a standby take over that has all that was acknowledged."""
        self.timeline += 1

    def next_number(self) -> int:
        """Give the number of another end."""
        self.last_number += 1
        return self.last_number

    def gone(self) -> list[str]:
        """Name the replicas that have left."""
        return [name for name, lease in self.leases.items() if lease.has_left]

    def owners(self) -> set[str]:
        """Name the replicas that have unsettled payments."""
        return {owned.owner for owned in self.claims.values()}

    def claim(self, claim: Claim, owner: str, epoch: int, since_epoch: int) -> KnownPayment | None:
        """Insert a payment with its claim; if it had a row that no registration of this run has written, give that.

        `since_epoch` is the first epoch of the run.
        """
        key = claim.payment.correlation_id
        if key not in self.payments:
            self.payments[key] = claim.payment
            self.claims[key] = OwnedClaim(owner, Claim(claim.payment, claim.processor), epoch)
        owned = self.claims.get(key)
        if owned is None:
            return KnownPayment(self.payments[key], None, None, 0, 0, None)
        row = owned.claim
        if (owned.owner, row) == (owner, Claim(claim.payment, claim.processor)) and owned.epoch >= since_epoch:
            return None
        watermark_ms = self.leases[owned.owner].watermark_ms
        return KnownPayment(row.payment, owned.owner, row.processor, row.moves, row.attempts, watermark_ms)

    def record(self, correlation_id: UUID) -> PaymentRecord | None:
        """Give one payment with what became of it."""
        payment = self.payments.get(correlation_id)
        if payment is None:
            return None
        conflicts = self.conflicts.get(correlation_id, {}).values()
        amounts = tuple(offered.money for offered in sorted(conflicts, key=lambda offered: offered.accepted_at_ms))
        record = PaymentRecord(payment, None, None, None, amounts)
        if (owned := self.claims.get(correlation_id)) is not None:
            record = replace(record, processor=owned.claim.processor, owner=owned.owner, marked=owned.marked)
        if (settlement := self.settlements.get(correlation_id)) is not None:
            return replace(record, processor=settlement.processor, settlement=settlement)
        if (closing := self.closings.get(correlation_id)) is not None:
            return replace(record, processor=closing.processor, closing=closing)
        return record

    def move(self, move: Move, owner: str) -> bool:
        """Change a claim forwards, and tell whether it is now as the move says."""
        owned = self._owned(move.correlation_id, owner)
        if owned is None:
            return False
        claim = owned.claim
        if (claim.moves, claim.processor) != (move.moves, move.processor) and claim.moves >= move.moves:
            return False
        owned.claim = replace(claim, processor=move.processor, attempts=move.attempts, moves=move.moves)
        owned.marked = None
        return True

    def settle(self, settlement: Settlement) -> None:
        """Book a charge with its payment, unless the payment has one already; its claim ends."""
        key = settlement.correlation_id
        self.payments.setdefault(key, settlement.payment)
        if key not in self.settlements:
            self.settlements[key] = settlement
            self.closings.pop(key, None)
            self.end_numbers[key] = self.next_number()
        self.claims.pop(key, None)

    def dispute(self, settlements: Iterable[Settlement]) -> tuple[UUID, ...]:
        """Keep the charges of payments that another charge had settled, and give the ids of the new ones."""
        disputed: dict[UUID, None] = {}
        for settlement in settlements:
            booked = self.settlements.get(settlement.correlation_id)
            if booked is None or _charge_of(booked) == _charge_of(settlement):
                continue
            if all(_dispute_key(each) != _dispute_key(settlement) for each in self.disputes):
                self.disputes.add(settlement)
                disputed[settlement.correlation_id] = None
        return tuple(disputed)

    def close(self, closing: Closing, owner: str) -> None:
        """End a payment without a charge, unless it is settled."""
        key = closing.correlation_id
        self.payments.setdefault(key, closing.payment)
        if self._owned(key, owner) is not None:
            del self.claims[key]
        if key not in self.settlements and key not in self.closings:
            self.closings[key] = closing
            self.end_numbers[key] = self.next_number()

    def mark(self, mark: Mark, owner: str) -> None:
        """Note the mark of a claim for its readers."""
        owned = self._owned(mark.correlation_id, owner)
        if owned is not None:
            owned.marked = mark.state

    def _owned(self, correlation_id: UUID, owner: str) -> OwnedClaim | None:
        owned = self.claims.get(correlation_id)
        return owned if owned is not None and owned.owner == owner else None


def _dispute_key(settlement: Settlement) -> tuple[UUID, str, int]:
    return settlement.correlation_id, settlement.processor, settlement.requested_at_ms


def _charge_of(settlement: Settlement) -> tuple[str, int, Money]:
    return settlement.processor, settlement.requested_at_ms, settlement.payment.money


@dataclass
class MemoryFence:
    """The registration that a replica writes under."""

    replica: str = "1"
    epoch: int = 0
    instance: UUID = UUID(int=0)  # noqa: RUF009  # immutable, so one for all is harmless
    """The id beside its journal."""
    registered_epoch: int = 0
    """The epoch of its last registration, whether it was admitted or not; 0 before the first one."""
    since_epoch: int = 0
    """The first epoch of this run of the actors."""
    timeline: int | None = None
    """The timeline of the tables at the registration."""
    writes: int = 0
    """How many writes its replica's row has counted by the last one that was acknowledged."""
