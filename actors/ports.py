"""What actors need of others, as small protocols: adapters fulfil them, and so do the fakes of the tests."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from actors.domain.messages import Claim, Move
from actors.domain.outcome import Outcome
from actors.domain.payment import Payment, Settlement
from actors.domain.quorum import Opinion


class Recipient(Protocol):
    """Somebody to whom messages can be sent."""

    def tell(self, message: object) -> None:
        """Put a message into the mailbox and go on.

        Raises:
            MailboxFullError: the mailbox holds as many as it may.
        """

    def ask(self, message: object, timeout_s: float) -> Any:  # noqa: ANN401  # the answer's type depends on the message
        """Wait for the answer to a message.

        Raises:
            GatewayUnavailableError: no answer in time, or nobody behind the address.
        """


class Runtime(Protocol):
    """Time and concurrency, as actors see them."""

    def now_s(self) -> float:
        """Monotonic time, for durations."""

    def now_ms(self) -> int:
        """Wall clock in milliseconds since the epoch, for business instants; never runs backwards."""

    def call_later(self, delay_s: float, function: Callable[..., object], *args: object) -> None:
        """Call the function once, after the delay, beside whatever runs then."""

    def spawn(self, function: Callable[..., object], *args: object) -> None:
        """Run the function beside the caller."""

    def sleep(self, duration_s: float) -> None:
        """Wait, while others go on."""


class Journal(Protocol):
    """The append-only record of payments that Postgres does not have yet."""

    def append(self, payments: Sequence[Payment]) -> None:
        """Make all of them durable, or none.

        Raises:
            JournalUnavailableError: it could not be written; nothing of the group is kept.
        """

    def committed(self, correlation_ids: Sequence[UUID]) -> None:
        """Note that Postgres has these; whole segments of them are deleted. Unknown ids are ignored."""

    def replay(self) -> Iterator[Payment]:
        """Give every payment that it still holds, oldest first. Called by each new intake before it appends."""


class Orphan(Protocol):
    """The journal of a replica that is gone."""

    def replay(self) -> Iterator[Payment]:
        """Give every payment that it holds."""

    def clear(self) -> None:
        """Give up what it holds: another journal has it now."""

    def close(self) -> None:
        """Let go of it."""


class JournalShelf(Protocol):
    """The journals of all replicas that share a volume."""

    def orphans(self, gone: Collection[str]) -> Iterator[Orphan]:
        """Open, one after another, the journals that hold something and that no process has.

        Those of replicas that are `gone` are read also where a process has them: it stands still.
        """


class ProcessorClient(Protocol):
    """The way to one payment processor. Nothing here raises: what went wrong is part of the answer."""

    def charge(self, payment: Payment, requested_at_ms: int) -> Outcome:
        """Send one payment once and tell what came of it, within a deadline over the whole call."""

    def look_up(self, payment: Payment) -> "LookUpAnswer":
        """Ask for one payment, within a deadline over the whole call. One of another amount is no usable answer."""


@dataclass(frozen=True, slots=True)
class LookUpAnswer:
    """What a processor says of a payment."""

    answered: bool
    """False where it gave no usable answer."""
    requested_at_ms: int | None = None
    """The instant of the charge; None where there is none."""


@dataclass(frozen=True, slots=True)
class KnownPayment:
    """A row that was there before it was offered again."""

    payment: Payment
    owner: str | None
    """The replica that drives it; None once it is settled."""
    processor: str | None


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What one transaction did."""

    assigned: tuple[UUID, ...]
    """Offered claims that are rows of this replica now."""
    known: tuple[KnownPayment, ...]
    """Offered claims whose ids had a row already."""
    moved: tuple[UUID, ...]
    """Offered moves whose rows belong to this replica and name the new processor now."""


@dataclass(frozen=True, slots=True)
class Registration:
    """A replica's place in Postgres, taken at its start."""

    epoch: int
    """Rises with every registration under this name."""
    generation: int
    """Of the whole gateway: rises with every purge; what is older is gone."""
    watermark_ms: int
    """As of the last heartbeat under this name: no unsettled charge bears an older stamp."""


@dataclass(frozen=True, slots=True)
class Beat:
    """What a heartbeat learnt."""

    renewed: bool
    """False where another process has taken the name."""
    generation: int


@dataclass(frozen=True, slots=True)
class Adopted:
    """Rows that were taken over from replicas that are gone."""

    claims: tuple[Claim, ...]
    oldest_stamp_ms: int
    """No charge of theirs that is missing in Postgres bears an older stamp."""


@dataclass(frozen=True, slots=True)
class ProcessorTotal:
    """What was charged on one processor within a window."""

    processor: str
    requests: int
    amount_cents: int


@dataclass(frozen=True, slots=True)
class LedgerSummary:
    """Totals of a window, and how far they are final."""

    totals: tuple[ProcessorTotal, ...]
    final_before_ms: int
    """Every charge with an older stamp is in the totals."""


@dataclass(frozen=True, slots=True)
class PaymentRecord:
    """What Postgres knows of one payment."""

    payment: Payment
    processor: str
    owner: str | None
    settlement: Settlement | None
    conflicting_amounts_cents: tuple[int, ...]
    """Other amounts that were offered under the same id, none of them charged."""


class Ledger(Protocol):
    """Postgres, the record of everything. Every method raises `LedgerUnavailableError` where it does not answer."""

    def write(self, claims: Sequence[Claim], moves: Sequence[Move], settlements: Sequence[Settlement]) -> WriteResult:
        """Commit all of it in one transaction. May be called again with the same after an error."""

    def report_conflicts(self, payments: Sequence[Payment]) -> None:
        """Keep, beside the payment that came first, that another amount was offered under its id."""

    def generation(self) -> int:
        """The number of the last purge."""

    def register(self, generation: int, lease_s: float) -> Registration:
        """Take this replica's name, with a lease; what it holds is of this generation."""

    def beat(self, epoch: int, lease_s: float, watermark_ms: int) -> Beat:
        """Renew the lease and publish the watermark."""

    def retire(self, epoch: int, watermark_ms: int) -> None:
        """End the lease at a graceful stop."""

    def adopt(self, claims_max: int) -> Adopted | None:
        """Take over unsettled rows of replicas whose lease has ended; from then on those can't renew it.

        The watermark of this replica falls with the same transaction. None where there is nothing to take.
        """

    def gone(self) -> tuple[str, ...]:
        """Names of the replicas whose lease has ended."""

    def claims(self) -> tuple[Claim, ...]:
        """All unsettled rows of this replica, oldest first."""

    def latest(self, payments_max: int) -> tuple[Payment, ...]:
        """Some of the payments that were charged last, on whichever replica, oldest first."""

    def payment(self, correlation_id: UUID) -> PaymentRecord | None:
        """One payment with what became of it."""

    def summary(self, from_ms: int | None, to_ms: int | None) -> LedgerSummary:
        """Totals by processor of the charges stamped within the bounds, both inclusive."""

    def begin_purge(self) -> int:
        """Open a new generation and tell its number; replicas see it with their next heartbeat."""

    def acknowledge_purge(self, generation: int) -> None:
        """Note that this replica holds nothing older than this generation."""

    def finish_purge(self, generation: int) -> bool:
        """Empty all tables, once, when every living replica has acknowledged; tell whether that is done."""


class PeerChannel(Protocol):
    """The way to the other replicas. Raises `PeersUnavailableError`."""

    def tell(self, payments: Sequence[Payment]) -> None:
        """Tell all replicas that these were accepted."""

    def hear(self) -> Sequence[Payment]:
        """Give some of what was told since the last call, by whomever; at first what was told lately."""

    def close(self) -> None:
        """End all connections."""


class HealthBoard(Protocol):
    """Redis: what all replicas together know of processors. Any of it may be gone at any time.

    Every method raises `HealthUnavailableError` where Redis does not answer.
    """

    def may_poll(self, processor: str, period_s: float) -> str | None:
        """Take the fleet's one call of this period, and give the lease's token; None where another replica has it."""

    def may_probe(self, processor: str, period_s: float) -> bool:
        """Take the fleet's one probe of this period; False where another replica has it."""

    def publish(self, health: "ProcessorHealth") -> None:
        """Share the answer of a processor's health endpoint until its time to live ends."""

    def exchange(self, opinions: Sequence[Opinion]) -> "SharedHealth":
        """Share this replica's opinions, and read what is shared, in one round trip."""


@dataclass(frozen=True, slots=True)
class SharedHealth:
    """What is shared now."""

    answers: tuple["ProcessorHealth", ...]
    """The latest answer of each processor's health endpoint, where there is one."""
    opinions: tuple[Opinion, ...]
    """Of the other replicas, none older than its time to live; their ages include the time since they were shared."""
    polls: tuple["PollLease", ...]
    """Of each processor, where there is one."""


@dataclass(frozen=True, slots=True)
class PollLease:
    """The right to call a processor's health endpoint, as somebody has taken it."""

    processor: str
    token: str
    ends_s_in: float


@dataclass(frozen=True, slots=True)
class ProcessorHealth:
    """The answer of a processor's health endpoint."""

    processor: str
    failing: bool
    response_time_ms_min: int
    asked_at_ms: int


class HealthProbe(Protocol):
    """The way to the processors' health endpoints."""

    def ask(self, processor: str) -> "ProcessorHealth | None":
        """Ask one processor; None where it gave no usable answer or refused to be asked again so soon."""
