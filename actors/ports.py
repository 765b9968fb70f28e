"""What actors need of others, as small protocols: adapters fulfil them, and so do the fakes of the tests."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, Protocol
from uuid import UUID

from actors.domain.feed import FeedBounds, FeedEvent, FeedPlace
from actors.domain.happenings import Happening
from actors.domain.outcome import Outcome
from actors.domain.payment import Claim, Closing, EndState, Mark, Move, Payment, Settlement
from actors.domain.peers import PeerNews
from actors.domain.quorum import Opinion
from actors.domain.records import (
    Absence,
    AdoptedClaims,
    Beat,
    LastPurge,
    LedgerSummary,
    LookUpAnswer,
    PaymentRecord,
    PaymentState,
    Position,
    ProcessorHealth,
    Registration,
    ReplicaState,
    SharedHealth,
    StoreIdentity,
    Watermarks,
    WriteResult,
)
from actors.domain.replica_status import ReplicaStatus
from actors.domain.resolution import Finding, Resolution, ResolutionAnswer
from actors.domain.seconds import Second
from actors.domain.shared_status import SharedStatus
from actors.domain.wall_clock import ClockReading, WallClock


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

    @property
    def clock(self) -> WallClock:
        """The clock that `now_ms` reads, and whether it is known to be right."""

    def now_ms(self) -> int:
        """Wall clock in milliseconds since the epoch, for business instants; never runs backwards."""

    def sample_clock(self) -> None:
        """Compare the wall clock with the system's."""

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

    @property
    def unread_segments(self) -> int:
        """How many files of it, found by the last rewind, hold payments that cannot be read now or by this release."""

    def append(self, payments: Sequence[Payment], *, synced: bool = True) -> None:
        """Make all of them durable, or none; if they are not `synced`, the loss of power may still lose them.

        Raises:
            JournalUnavailableError: it could not be written; nothing of the group is kept.
        """

    def sync(self) -> None:
        """Make durable what was appended without being synced.

        Raises:
            JournalUnavailableError: some of it may not be durable.
        """

    def take(self, payments_max: int) -> list[Payment]:
        """Give the next payments in the order of their arrival, each once.

        Raises:
            JournalUnavailableError: they could not be read; they wait on.
        """

    def committed(self, correlation_ids: Sequence[UUID]) -> None:
        """Note that Postgres has these; segments that hold no others are deleted. Unknown ids are ignored."""

    def rewind(self) -> Iterator[Payment]:
        """Let all that is not committed wait again, and give all that is on the disk, oldest first.

        Called by each new intake before it appends, and read to its end.
        """


class OwnedJournal(Journal, Protocol):
    """A journal that this process holds until it closes it."""

    def check(self) -> None:
        """Raise JournalUnavailableError where it cannot be written."""

    def trouble(self) -> str | None:
        """Tell what an operator should look at although it can be written; None where there is nothing.

        Raises:
            JournalUnavailableError: it cannot be read.
        """

    def purge(self, last_purge: LastPurge) -> None:
        """Forget what was accepted up to the purge's instant; the rest, and what comes next, is of its generation."""

    def close(self) -> None:
        """Release the lock, so that another process can open the journal."""


class Orphan(Protocol):
    """The journal of a replica that is gone."""

    def replay(self) -> Iterator[Payment]:
        """Give every payment that it holds and that was not taken before, the oldest first."""

    def took(self, count: int) -> None:
        """Note that another journal has the next `count` of the payments that were replayed."""

    def close(self) -> None:
        """Release its lock."""


class JournalShelf(Protocol):
    """The journals of all replicas that share a volume."""

    def orphans(self, gone: Collection[str]) -> Iterator[Orphan]:
        """Open, one after another, the journals that hold something and that no process has.

        The journals of replicas that are `gone` are read even if a process has them, which stands still.
        """

    def emptied(self) -> Collection[str]:
        """Name the replicas whose journals hold nothing, as far as they are within reach."""


class ProcessorClient(Protocol):
    """The way to one payment processor. Nothing here raises: what went wrong is part of the answer."""

    def charge(self, payment: Payment, requested_at_ms: int) -> Outcome:
        """Send one payment once and tell what came of it, within a deadline over the whole call."""

    def look_up(self, payment: Payment) -> LookUpAnswer:
        """Ask whether one payment was charged, within a deadline over the whole call."""

    def knock(self) -> bool:
        """Tell whether the processor accepts a connection, within a second or so; the next charge uses that one."""

    def answers_health(self) -> bool:
        """Tell whether its health endpoint answers, within seconds: then the processor itself is behind the address."""

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
                what is in dispute; or, if others took over in the middle, all but charges without a claim.
        """

    def report_conflicts(self, payments: Sequence[Payment]) -> None:
        """Keep, beside the payment that came first, that another amount was offered under its id."""

    def latest(self, payments_max: int) -> Iterable[Payment]:
        """Read some of the payments that were charged last, on whichever replica, oldest first, page by page.

        A connection is held meanwhile, so the caller waits for nothing before it has read all.
        """

    def payment(self, correlation_id: UUID, wait_s_max: float | None = None) -> PaymentRecord | None:
        """Read one payment with what became of it, within `wait_s_max` seconds where that is given."""

    def in_state(self, state: PaymentState, after: Position, payments_max: int) -> tuple[PaymentRecord, ...]:
        """Read payments in one state that stand behind a position, in the order of their positions."""

    def absence(self, correlation_id: UUID) -> Absence:
        """Read whether a payment still has no row, and which other replicas may have accepted it."""

    def watermarks(self) -> Watermarks:
        """Tell how far the charges of all replicas are in Postgres."""

    def may_lack_answers(self, to_ms: int) -> bool:
        """Tell whether another replica may have had answers to charges with stamps up to `to_ms`, and lost them.

        Such an answer is lost until the processor is asked for the payment.
        """

    def summary(self, from_ms: int | None, to_ms: int | None, answered_by_ms: int | None = None) -> LedgerSummary:
        """Add up by processor the charges stamped within the bounds, both inclusive.

        Those that were answered after `answered_by_ms`, if it is given, are left out and counted.
        """


class LeaseStore(Protocol):
    """Replicas and their leases in Postgres. Every method raises `LedgerUnavailableError` where it does not answer."""

    def identity(self) -> StoreIdentity:
        """Tell which Postgres answers. If it is another one, nothing is written to it before a registration."""

    def confirm(self, identity: StoreIdentity) -> None:
        """Let the other replicas know that this one has found, in a history, every commit that it was told of."""

    def establish(self, identity: StoreIdentity, forgot_at_ms: int | None = None) -> None:
        """Let the other replicas know that it is decided whether a history lacks anything.

        Where it does, `forgot_at_ms` is the wall clock at which that was found.
        """

    def holder(self) -> ReplicaState | None:
        """Read the state of another process that has this replica's name and has not left; None if there is none.

        That is one of another instance or, once this process has registered, one that has registered later.
        """

    def register(self, generation: int, clock: ClockReading, *, store_forgot: bool = False) -> Registration:
        """Take this replica's name, with a lease; what it holds is of this generation.

        With `store_forgot` the feed is numbered anew before that, since Postgres may have forgotten numbers. That is
        done in any case if they were given in another database, or on another timeline of it.

        Raises:
            LeaseLostError: another instance has the name, and has not left.
        """

    def beat(self, epoch: int, watermarks: Watermarks, clock: ClockReading) -> Beat:
        """Renew the lease, and publish the watermarks and the clocks."""

    def retire(self, epoch: int, watermarks: Watermarks) -> None:
        """End the lease at a graceful stop."""

    def note_emptied(self) -> None:
        """Note that this replica, which has left and accepts nothing more, holds nothing that is not in the ledger."""

    def stand_aside(self, generation: int) -> None:
        """End the lease under this replica's name, if there is one, so that others take up what is left under it.

        Raises:
            LeaseLostError: another instance has the name, and has not left.
        """

    def others(self) -> tuple[ReplicaState, ...]:
        """Read the states of all other replicas that ever registered."""

    def expel(self, replicas: Sequence[ReplicaState]) -> None:
        """End the leases of replicas whose heartbeats were seen to have stopped, unless they have gone on since.

        From then on they can neither renew them, nor write claims.
        """

    def adopt(self, claims_max: int, leave_out: Collection[str] = ()) -> AdoptedClaims | None:
        """Take over unsettled rows of replicas that have left; from then on those can't write them.

        Rows that name a processor of `leave_out` stay where they are. The watermarks of this replica fall with the same
        transaction. None where there is nothing to take.
        """

    def claims(
        self,
        claims_max: int,
        after: UUID | None = None,
        *,
        earlier_run: bool = False,
        naming: str | None = None,
        leave_out: Collection[str] = (),
    ) -> tuple[Claim, ...]:
        """Read the unsettled rows of this replica with the lowest ids behind `after`; give them the oldest first.

        With `naming` only rows that name this processor are read; rows that name one of `leave_out` never are. With
        `earlier_run` the rows that the present run of the actors has written are left out: they are driven already, or
        their claims are tried again. Rows that were taken over are among those given. Rows may be out of date when they
        arrive: payments that are driven here may have moved and ended.
        """


class ResolutionStore(Protocol):
    """Operators' findings on payments, in Postgres. Every method raises `LedgerUnavailableError` where it fails."""

    def ask(self, finding: Finding, asked_by: str, asked_at_ms: int) -> int:
        """Keep a finding for the replica that drives its payment, and give its number."""

    def answer_to(self, number: int) -> ResolutionAnswer | None:
        """Read what became of a finding; None while nobody has answered."""

    def unanswered(self, resolutions_max: int, after: int = 0) -> tuple[Resolution, ...]:
        """Read findings behind a number, on payments that this replica drives or that none drives, in their order."""

    def reopen(self, correlation_id: UUID) -> tuple[Claim, EndState] | None:
        """Take up a closed payment as a row of this replica; None where there is none with this id."""

    def answer(self, number: int, answer: ResolutionAnswer, answered_at_ms: int) -> None:
        """Keep what became of a finding."""


class FeedStore(Protocol):
    """The feed of ended payments in Postgres."""

    def read(self, after: FeedPlace, events_max: int) -> tuple[FeedBounds, tuple[FeedEvent, ...]]:
        """Read the first events behind a place; nothing will be added before one of them.

        Raises:
            LedgerUnavailableError: Postgres does not answer, or no replica has registered since it has another history.
        """

    def newest(self) -> tuple[FeedBounds, FeedPlace]:
        """Read the place of the last event, `BEGINNING` where there is none; raises as `read` does."""


class PeerChannel(Protocol):
    """The way to the other replicas. Raises `PeersUnavailableError`."""

    def tell(self, news: PeerNews) -> None:
        """Tell all replicas, after everything that they were told before."""

    def hear(self) -> Iterable[PeerNews]:
        """Give some of what any replica has told since the last call, in order; at first what was told lately.

        Each piece is read when it is asked for, so any step of the iteration may raise.
        """

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
        """Check that Redis answers."""

    def close(self) -> None:
        """End all connections."""


class StatusBoard(Protocol):
    """Redis: the states of all replicas, for the live page. Any of it may be gone at any time.

    Every method raises `StatusUnavailableError` where Redis does not answer.
    """

    def tell(self, status: ReplicaStatus, seconds: Sequence[Second], happenings: Sequence[Happening]) -> None:
        """Share this replica's state, and what was not shared yet of its seconds and of what happened to it."""

    def leave(self, happening: Happening) -> None:
        """Share that this replica has ended, and take its state away."""

    def hear(self, seconds_max: int) -> SharedStatus:
        """Read what all replicas have shared, with up to `seconds_max` of the last seconds of each."""

    def close(self) -> None:
        """End all connections."""


class HealthProbe(Protocol):
    """The way to the processors' health endpoints."""

    def ask(self, processor: str) -> ProcessorHealth | None:
        """Ask one processor; None where it gave no usable answer or refused to be asked again so soon."""

    def close(self) -> None:
        """End all connections."""
