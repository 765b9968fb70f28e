"""What actors need of others, as small protocols: adapters fulfil them, and so do the fakes of the tests."""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Protocol
from uuid import UUID

from actors.domain.outcome import Outcome
from actors.domain.payment import Claim, Closing, EndState, Mark, Move, Payment, Settlement
from actors.domain.quorum import Opinion
from actors.domain.records import (
    AdoptedClaims,
    Beat,
    LedgerSummary,
    ListedPayment,
    LookUpAnswer,
    PaymentRecord,
    PaymentState,
    Position,
    ProcessorHealth,
    Registration,
    SharedHealth,
    WriteResult,
)
from actors.domain.resolution import Resolution, ResolutionAnswer, Verdict


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
        """Call a function that does not wait for anything once, after the delay."""

    def spawn(self, function: Callable[..., object], *args: object) -> None:
        """Run the function beside the caller."""

    def sleep(self, duration_s: float) -> None:
        """Wait, while others go on."""


class Journal(Protocol):
    """The append-only record of accepted payments that Postgres does not have yet, and the queue that they wait in."""

    @property
    def waiting(self) -> int:
        """How many payments were appended and not taken yet."""

    @property
    def held(self) -> int:
        """How many records are not committed: those that wait, and those that were taken."""

    def append(self, payments: Sequence[Payment]) -> None:
        """Make all of them durable, or none.

        Raises:
            JournalUnavailableError: it could not be written; nothing of the group is kept.
        """

    def take(self, payments_max: int) -> list[Payment]:
        """Give the next payments in the order of their arrival, each once.

        Raises:
            JournalUnavailableError: they could not be read; they wait on.
        """

    def committed(self, correlation_ids: Sequence[UUID]) -> None:
        """Note that Postgres has these; whole segments of them are deleted. Unknown ids are ignored."""

    def rewind(self) -> Iterator[Payment]:
        """Let all that is not committed wait again, and give all that is on the disk, oldest first.

        Called by each new intake before it appends, and read to its end.
        """


class OwnedJournal(Journal, Protocol):
    """A journal that this process holds until it closes it."""

    def check(self) -> None:
        """Raise JournalUnavailableError where it cannot be written."""

    def purge(self, generation: int) -> None:
        """Delete everything; what comes next belongs to `generation`."""

    def close(self) -> None:
        """Release the lock, so that another process can open the journal."""


class Orphan(Protocol):
    """The journal of a replica that is gone."""

    def replay(self) -> Iterator[Payment]:
        """Give every payment that it holds."""

    def clear(self) -> None:
        """Give up what it holds: another journal has it now."""

    def close(self) -> None:
        """Release its lock."""


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

    def look_up(self, payment: Payment) -> LookUpAnswer:
        """Ask for one payment, within a deadline over the whole call. One of another amount is no usable answer."""

    def close(self) -> None:
        """Close the connections that wait for use."""


class PaymentStore(Protocol):
    """Payments in Postgres. Every method raises `LedgerUnavailableError` where it does not answer."""

    def forget_registration(self) -> None:
        """Write nothing more until this replica has registered anew."""

    def write(
        self,
        claims: Sequence[Claim],
        moves: Sequence[Move],
        settlements: Sequence[Settlement],
        closings: Sequence[Closing] = (),
        marks: Sequence[Mark] = (),
    ) -> WriteResult:
        """Commit all of it. May be called again with the same after an error.

        Raises:
            FencedError: this replica is not registered, or others have taken over from it. Nothing was written but
                what is in dispute.
        """

    def report_conflicts(self, payments: Sequence[Payment]) -> None:
        """Keep, beside the payment that came first, that another amount was offered under its id."""

    def latest(self, payments_max: int) -> tuple[Payment, ...]:
        """Read some of the payments that were charged last, on whichever replica, oldest first."""

    def payment(self, correlation_id: UUID) -> PaymentRecord | None:
        """Read one payment with what became of it."""

    def in_state(self, state: PaymentState, after: Position, payments_max: int) -> tuple[ListedPayment, ...]:
        """Read payments in one state that stand behind a position, in the order of their positions."""

    def summary(self, from_ms: int | None, to_ms: int | None) -> LedgerSummary:
        """Add up by processor the charges stamped within the bounds, both inclusive."""


class LeaseStore(Protocol):
    """Replicas and their leases in Postgres. Every method raises `LedgerUnavailableError` where it does not answer."""

    def register(self, generation: int, lease_s: float) -> Registration:
        """Take this replica's name, with a lease; what it holds is of this generation."""

    def beat(self, epoch: int, lease_s: float, watermark_ms: int) -> Beat:
        """Renew the lease and publish the watermark."""

    def retire(self, epoch: int, watermark_ms: int) -> None:
        """End the lease at a graceful stop."""

    def adopt(self, claims_max: int) -> AdoptedClaims | None:
        """Take over unsettled rows of replicas whose lease has ended; from then on those can't renew it.

        The watermark of this replica falls with the same transaction. None where there is nothing to take.
        """

    def gone(self) -> tuple[str, ...]:
        """Name the replicas whose lease has ended."""

    def claims(self, claims_max: int) -> tuple[Claim, ...]:
        """Read unsettled rows of this replica, oldest first."""


class ResolutionStore(Protocol):
    """What operators say of payments, in Postgres. Every method raises `LedgerUnavailableError` where it fails."""

    def ask(self, verdict: Verdict, asked_by: str, asked_at_ms: int) -> int:
        """Keep a verdict for the replica that drives its payment, and give its number."""

    def answer_to(self, number: int) -> ResolutionAnswer | None:
        """Read what became of a verdict; None while nobody has answered."""

    def unanswered(self, resolutions_max: int) -> tuple[Resolution, ...]:
        """Read verdicts on payments that this replica drives, or that none drives, in their order."""

    def reopen(self, correlation_id: UUID) -> tuple[Claim, EndState] | None:
        """Take up a closed payment as a row of this replica; None where there is none with this id."""

    def answer(self, number: int, answer: ResolutionAnswer, answered_at_ms: int) -> None:
        """Keep what became of a verdict."""


class PurgeStore(Protocol):
    """Purges in Postgres. Every method raises `LedgerUnavailableError` where it does not answer."""

    def generation(self) -> int:
        """Read the number of the last purge."""

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

    def publish(self, health: ProcessorHealth) -> None:
        """Share the answer of a processor's health endpoint until its time to live ends."""

    def exchange(self, opinions: Sequence[Opinion]) -> SharedHealth:
        """Share this replica's opinions, and read what is shared, in one round trip."""

    def ping(self) -> None:
        """Ask for an answer, whatever it is."""

    def close(self) -> None:
        """End all connections."""


class HealthProbe(Protocol):
    """The way to the processors' health endpoints."""

    def ask(self, processor: str) -> ProcessorHealth | None:
        """Ask one processor; None where it gave no usable answer or refused to be asked again so soon."""

    def close(self) -> None:
        """End all connections."""
