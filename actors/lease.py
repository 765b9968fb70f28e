"""The lease: renews this replica's right to charge in Postgres, and publishes how far its settlements are complete."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import assert_never

from actors.actor import Actor
from actors.domain.failover import StoreFinding
from actors.domain.lease_watch import LEASE_S
from actors.domain.records import NOTHING_MISSING, Registration, Watermarks
from actors.domain.trouble import Trouble
from actors.domain.work import AdoptionRoom
from actors.earlier_rows import EarlierRows
from actors.errors import GatewayUnavailableError, LeaseLostError, LedgerUnavailableError
from actors.fleet import Fleet
from actors.logs import get_logger
from actors.messages.intake import FirstAmountsFound, LeaseHeld, RowsDoubted, in_chunks
from actors.messages.lease import BeatDue, GetForgotten, GetLivingCount, LeaseMessage, Leave
from actors.messages.processor import GetUnreported, LeaseRenewed
from actors.messages.router import GetUncommitted, StoreChanged
from actors.messages.trouble import GetTrouble
from actors.outages import OutageReporter
from actors.ports import JournalShelf, LeaseStore, PaymentStore, Recipient, Runtime
from actors.resolver import Resolver
from actors.store_watch import StoreMemory, StoreWatch
from actors.takeover import Takeover

logger = get_logger(__name__)

BEAT_S = 0.25
"""Time between two heartbeats, each of which renews the lease and publishes the watermarks."""
ASK_S_MAX = 1.0
"""Longest wait for the answer of another actor."""
ADOPT_S = 1.0
"""Time between two searches for rows and journals that replicas, or an earlier run of this one, have left behind."""
LATEST_MAX = 20_000
"""Payments whose ids a replica knows again after its start."""


class LeaseActor(Actor):
    """Owns the lease. Without it nothing is sent; with every renewal it publishes the replica's watermarks."""

    REFUSED_WHEN_FULL = (GetTrouble, GetForgotten, GetLivingCount)

    def __init__(  # noqa: PLR0913  # its neighbours one by one
        self,
        *,
        leases: LeaseStore,
        payments: PaymentStore,
        router: Recipient,
        processors: Sequence[Recipient],
        intake: Recipient,
        shelf: JournalShelf,
        memory: StoreMemory,
        resolver: Resolver,
        runtime: Runtime,
        generation: int,
        purged: Callable[[], None],
        named: Callable[[], None],
    ) -> None:
        """`purged` is called once, when Postgres shows a generation later than `generation`.

        `named` is called each time no other process has this replica's name: when it has joined or stood aside.
        """
        super().__init__()
        self._leases = leases
        self._payments = payments
        self._router = router
        self._processors = processors
        self._intake = intake
        self._takeover = Takeover(
            leases=leases, router=router, intake=intake, shelf=shelf, progressed=self._keep_lease, runtime=runtime
        )
        self._earlier_rows = EarlierRows(leases, router, runtime)
        self._fleet = Fleet(leases, runtime)
        self._resolver = resolver
        self._store = StoreWatch(leases, memory, runtime)
        self._runtime = runtime
        self._generation = generation
        self._purged = purged
        self._named = named
        self._registration: Registration | None = None
        self._store_forgot = False
        """Whether Postgres may have forgotten something since this replica registered last."""
        self._stands_aside = False
        """Whether others are told to take up what is left under this name, since the clock is wrong."""
        self._left = False
        self._trouble = Trouble("the lease is not renewed")
        self._outage = OutageReporter(logger, "the lease is not renewed", runtime.now_s)
        self._purge_told = False
        self._leased_since_s: float | None = None
        self._renewed_at_s = 0.0
        self._searched_at_s = 0.0
        self._published = Watermarks(0, 0)
        """The watermarks that were published last."""
        self._epoch: int | None = None
        """The epoch of the last registration."""

    def on_start(self) -> None:
        """Join at once."""
        self.tell_self(BeatDue())

    def on_receive(self, message: LeaseMessage) -> object:
        """Handle one message."""
        match message:
            case BeatDue():
                if not self._left:
                    self._join_or_beat()
            case Leave():
                self._leave()
            case GetTrouble():
                return self._trouble.describe(self._runtime.now_s())
            case GetForgotten():
                return self._store.describe()
            case GetLivingCount():
                return self._fleet.living_count
            case _:
                assert_never(message)
        return None

    def _join_or_beat(self) -> None:
        self._fleet.check_clock()
        generation = self._generation
        try:
            self._leave_changed_store()
            generation = self._join() if self._registration is None else self._beat(self._registration)
            if generation == self._generation:
                self._search()
        except LedgerUnavailableError as error:
            self._leased_since_s = None
            self._trouble.failed(error, self._runtime.now_s())
            self._outage.failed(reason=str(error))
        if generation != self._generation and not self._purge_told:
            self._runtime.spawn(self._purged)
        self._purge_told = generation != self._generation
        if generation <= self._generation or self._registration is not None:
            # During a purge as well: the lease lasts until the charges that are under way have ended.
            self._runtime.call_later(BEAT_S, self.tell_self, BeatDue())

    def _search(self) -> None:
        """Search now and then for what was left behind: first for the rows of an earlier run of this replica."""
        now_s = self._runtime.now_s()
        if self._leased_since_s is None or now_s - self._searched_at_s < ADOPT_S:
            return
        self._searched_at_s = now_s
        # After Postgres was away, all others get the time to renew their leases.
        takes_over = now_s - self._leased_since_s >= LEASE_S
        with self._takeover.adopting() as room:
            given = self._earlier_rows.take_up(room)
            if takes_over:
                self._adopt(replace(room, count=room.count - given))
        if takes_over:
            self._take_over_the_rest()

    def _adopt(self, room: AdoptionRoom) -> None:
        try:
            adopted = self._takeover.adopt_rows(room)
        except LedgerUnavailableError:
            # The rows may be this replica's now: it joins again, and so reads which they are.
            self._registration = None
            raise
        if adopted is not None:
            # Even if the router does not answer, the next heartbeat may not raise the watermarks above theirs.
            self._published = _lowest(self._published, Watermarks(adopted.oldest_stamp_ms, adopted.oldest_stamp_ms))

    def _take_over_the_rest(self) -> None:
        """Copy journals, and answer what operators have found out."""
        self.progressed()
        self._takeover.adopt_journals(self._fleet.gone)
        try:
            self._resolver.answer_round()
        except LedgerUnavailableError:
            self._registration = None  # As in `_adopt`.
            raise

    def _keep_lease(self) -> None:
        """Renew the lease where that is due, while a long journal is copied."""
        self.progressed()
        if self._registration is not None and self._runtime.now_s() - self._renewed_at_s >= BEAT_S:
            if self._leave_changed_store():
                raise LedgerUnavailableError("it is not the same Postgres as before")
            self._beat(self._registration)

    def _leave_changed_store(self) -> bool:
        """Give up the registration where Postgres is another one; return whether that is so.

        If it may have forgotten something, this replica joins anew whatever its epoch is: what it holds in memory may
        be all that is left. If nothing is missing, it joins as after any interruption.

        Raises:
            LedgerUnavailableError: it answers, but nobody knows yet whether anything is missing.
        """
        finding = self._store.look()
        if finding is StoreFinding.SAME:
            return False
        self._registration = self._leased_since_s = None
        if finding is StoreFinding.UNDECIDED:
            raise LedgerUnavailableError("another Postgres took over: replicas check whether it lacks anything")
        if finding is StoreFinding.FORGOTTEN:
            # Payments that the intake sends with rows have to reach the router before it doubts all rows.
            with suppress(GatewayUnavailableError):
                self._intake.ask(RowsDoubted(), ASK_S_MAX)
            # Before a registration opens the fence, so that nothing is charged for rows that may be of an earlier time.
            self._router.tell(StoreChanged())
            self._epoch = None
            self._stands_aside = False  # It has to be told again.
            self._store_forgot = True
        return True

    def _leave(self) -> None:
        """End the lease at once, so that others need not wait for its end to take over what is left."""
        self._left = True
        if self._registration is None:
            return
        try:
            self._leases.retire(self._registration.epoch, self._uncommitted())
        except LedgerUnavailableError as error:
            logger.warning("the lease could not be given up: it runs out", reason=str(error))

    def _join(self) -> int:
        self._fleet.look()
        is_clock_right = self._fleet.is_clock_right
        if is_clock_right is False and not self._stands_aside:
            logger.error("the clock is wrong: this replica charges nothing until it is right")
            self._leases.stand_aside(self._generation)
            self._stands_aside = True
            self._named()
        if not is_clock_right:
            return self._generation
        until_s = self._runtime.now_s() + LEASE_S
        clock = self._runtime.clock.reading(self._runtime.now_s())
        registration = self._leases.register(self._generation, clock, store_forgot=self._store_forgot)
        self._store_forgot = False
        self._named()
        if registration.generation != self._generation:
            return registration.generation
        expected, self._epoch = self._epoch, registration.epoch
        if expected is not None and registration.epoch != expected + 1:
            raise LeaseLostError("others have taken over since this replica registered last")
        # Not before the registration is committed: until then summaries are called final without this replica.
        self._fleet.look()
        self._runtime.clock.join(max(registration.published_ms, self._fleet.published_ms))
        self._earlier_rows.begin(registration.watermark_ms)
        with self._takeover.adopting() as room:
            self._earlier_rows.take_up(room)
        self._searched_at_s = self._runtime.now_s()
        self.progressed()
        for chunk in in_chunks(self._payments.latest(LATEST_MAX)):
            self._intake.tell(FirstAmountsFound(chunk))
        self._registration = registration
        self._published = Watermarks(registration.watermark_ms, registration.watermark_ms)
        self._renewed(until_s, registration.mark)
        return registration.generation

    def _beat(self, registration: Registration) -> int:
        until_s = self._runtime.now_s() + LEASE_S
        self._published = self._watermarks()
        clock = self._runtime.clock.reading(self._runtime.now_s())
        beat = self._leases.beat(registration.epoch, self._published, clock)
        if not beat.renewed:
            raise LeaseLostError("others have taken over from this replica, or another process has its name")
        self._renewed(until_s, beat.mark)
        shared_by = self._fleet.living_count
        self._fleet.look()
        if self._fleet.living_count != shared_by:
            self._tell_processors(until_s)
        self._fleet.expel()
        return beat.generation

    def _watermarks(self) -> Watermarks:
        """Find the instants before which no charge is missing in Postgres, by its stamp and by its answer."""
        # What is stamped or answered after this is no older.
        now_ms = self._runtime.now_ms()
        return _lowest(Watermarks(now_ms, now_ms), self._uncommitted())

    def _uncommitted(self) -> Watermarks:
        """Find the oldest charges; if an actor does not answer, they may be as old as was published last.

        Those of the rows of an earlier run that are not read yet are among them. Processors' actors are asked before
        the router: what they report meanwhile reaches it before the question does.
        """
        questions = [*((each, GetUnreported()) for each in self._processors), (self._router, GetUncommitted())]
        since_ms = self._earlier_rows.since_ms
        found = NOTHING_MISSING if since_ms is None else Watermarks(since_ms, since_ms)
        try:
            for recipient, question in questions:
                found = _lowest(found, recipient.ask(question, ASK_S_MAX))
                self.progressed()
        except GatewayUnavailableError:
            return self._published
        return found

    def _renewed(self, until_s: float, mark: int) -> None:
        self._trouble.succeeded()
        self._outage.succeeded()
        self._store.remember(mark)
        self._renewed_at_s = self._runtime.now_s()
        if self._leased_since_s is None:
            self._leased_since_s = self._runtime.now_s()
        self._tell_processors(until_s)

    def _tell_processors(self, until_s: float) -> None:
        for processor in self._processors:
            processor.tell(LeaseRenewed(until_s, self._fleet.living_count))
        self._intake.tell(LeaseHeld(until_s))


def _lowest(one: Watermarks, other: Watermarks) -> Watermarks:
    return Watermarks(min(one.stamp_ms, other.stamp_ms), min(one.answer_ms, other.answer_ms))
