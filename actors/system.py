"""The composition root: builds every part of a replica, and is what the HTTP side talks to."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import gevent
from gevent.event import AsyncResult, Event
from gevent.lock import BoundedSemaphore

from actors.actor import Address
from actors.adapters.health_board import RedisHealthBoard
from actors.adapters.health_probe import HttpHealthProbe
from actors.adapters.journal import FileJournal, FileJournalShelf
from actors.adapters.ledger import PostgresLedger
from actors.adapters.peer_channel import RedisPeerChannel
from actors.adapters.processor_client import HttpProcessorClient
from actors.adapters.runtime import GeventRuntime
from actors.domain.batching import BatchLimits
from actors.domain.breaker import Breaker, BreakerLimits
from actors.domain.messages import (
    Accept,
    AcceptAnswer,
    Backlog,
    Census,
    Count,
    Describe,
    Drain,
    OldestStamp,
    PaymentProgress,
)
from actors.domain.payment import Payment
from actors.domain.processors import EVENT_NAMES, Processor
from actors.domain.recent import RecentPayments
from actors.errors import (
    FielError,
    GatewayUnavailableError,
    JournalLockedError,
    JournalUnavailableError,
    LedgerUnavailableError,
    MailboxFullError,
)
from actors.gossip import GossipActor
from actors.health import HealthActor
from actors.intake import IntakeActor
from actors.persistence import PersistenceActor
from actors.ports import LedgerSummary, PaymentRecord
from actors.processor import ProcessorActor
from actors.recovery import LEASE_S, RecoveryActor
from actors.router import UNRESOLVED_S, RetryLimits, RouterActor
from actors.settings import Durability, Settings
from actors.supervisor import Child, RestartLimits, Supervisor

logger = logging.getLogger(__name__)

ACCEPT_S_MAX = 5.0
"""How long a client waits for the journal."""
ASK_S_MAX = 1.0
SUMMARY_S_MAX = 1.0
"""How long a summary waits for charges stamped within its window."""
SUMMARY_STEP_S = 0.05
SUMMARIES_MAX = 2
"""Summaries that ask Postgres at once; the others wait for their turn."""
PURGE_STEP_S = 0.05
DRAIN_S_MAX = 2.0
DRAIN_STEP_S = 0.02
START_STEP_S = 0.2
JOURNAL_S_MAX = 15.0
"""How long a start waits for a journal that another process holds."""
RECENT_MAX = 65_536
"""Ids whose amounts a replica remembers, to answer repeated posts."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether this replica takes payments, and how its parts are."""

    ready: bool
    parts: dict[str, str]
    """State of each part by name; `ok` where nothing is wrong."""

    @property
    def degraded(self) -> bool:
        """Whether a part is missing that payments are accepted without."""
        return self.ready and any(state != "ok" for state in self.parts.values())


@dataclass(frozen=True, slots=True)
class WindowSummary:
    """Totals of a window by processor; both names of the event are always there."""

    requests: dict[str, int]
    amounts_cents: dict[str, int]
    final: bool
    """False where charges stamped within the window may still be missing."""


@dataclass(frozen=True, slots=True)
class PaymentStatus:
    """A payment and how far it is."""

    record: PaymentRecord
    progress: PaymentProgress | None
    """Where this replica drives it: what the router knows."""


class System:
    """One replica of the gateway, without its HTTP side."""

    def __init__(self, settings: Settings, end_process: Callable[[str], None]) -> None:
        """`end_process` is called with the reason when this process can no longer do its work."""
        self._settings = settings
        self._end_process = end_process
        self._runtime = GeventRuntime()
        self._ledger = PostgresLedger(settings.database_url, settings.replica, self._runtime.now_ms)
        self._board = RedisHealthBoard(settings.redis_url, settings.replica)
        self._probe = HttpHealthProbe(settings.processors, self._runtime.now_ms)
        self._clients = {
            processor.name: HttpProcessorClient(processor.url, settings.charge_timeout_s, settings.in_flight_max)
            for processor in settings.processors
        }
        self._intake, self._router = Address("intake"), Address("router")
        self._persistence, self._recovery, self._health = Address("persistence"), Address("recovery"), Address("health")
        self._gossip = Address("gossip")
        self._processors = {processor.name: Address(processor.name) for processor in settings.processors}
        self._journal: FileJournal | None = None
        self._supervisor: Supervisor | None = None
        self._generation = 0
        self._draining = False
        self._purge_lock = BoundedSemaphore()
        self._summaries = BoundedSemaphore(SUMMARIES_MAX)
        self._at_work = Event()
        """Not set while the replica starts or purges: those who post meanwhile wait."""

    # Its life

    def start(self) -> None:
        """Start in the background: wait for Postgres, open the journal, start the actors."""
        self._ledger.open()
        gevent.spawn(self._start)

    def _start(self) -> None:
        while not self._draining:
            try:
                self._generation = self._ledger.generation()
                break
            except LedgerUnavailableError as error:
                logger.warning("waiting for Postgres: %s", error)
                gevent.sleep(START_STEP_S)
        try:
            self._journal = self._open_journal()
        except FielError as error:
            self._end_process(str(error))
            return
        if not self._draining:
            self._start_actors(self._journal)

    def _open_journal(self) -> FileJournal:
        sync = _sync_beside_the_loop if self._settings.durability is Durability.FSYNC else None
        deadline_s = self._runtime.now_s() + JOURNAL_S_MAX
        while True:
            try:
                return FileJournal(self._settings.journal_dir / self._settings.replica, self._generation, sync)
            except JournalLockedError as error:
                # Another replica may be taking over what an earlier run has left in it.
                if self._runtime.now_s() >= deadline_s:
                    raise
                logger.warning("waiting for the journal: %s", error)
                gevent.sleep(START_STEP_S)

    def _start_actors(self, journal: FileJournal) -> None:
        self._supervisor = Supervisor(self._children(journal), self._runtime, RestartLimits(), self._end_process)
        self._supervisor.start()
        self._at_work.set()
        logger.info("replica %s is at work", self._settings.replica)

    def _children(self, journal: FileJournal) -> list[Child]:
        """List the actors in the order of their start: who is told something starts before who tells it."""
        settings, runtime = self._settings, self._runtime
        generation = self._generation
        return [
            Child(
                self._persistence,
                lambda: PersistenceActor.start(
                    ledger=self._ledger,
                    intake=self._intake,
                    router=self._router,
                    runtime=runtime,
                    limits=BatchLimits(),
                    replica=settings.replica,
                ),
            ),
            Child(
                self._router,
                lambda: RouterActor.start(
                    processors=settings.processors,
                    addresses=self._processors,
                    persistence=self._persistence,
                    runtime=runtime,
                    limits=RetryLimits(horizon_s=settings.processor_delay_max_s + settings.charge_timeout_s + LEASE_S),
                ),
            ),
            *(self._processor_child(processor) for processor in settings.processors),
            Child(
                self._intake,
                lambda: IntakeActor.start(
                    journal=journal,
                    router=self._router,
                    gossip=self._gossip,
                    recent=RecentPayments(RECENT_MAX),
                    runtime=runtime,
                    open_max=settings.open_max,
                ),
            ),
            Child(
                self._gossip,
                lambda: GossipActor.start(
                    channel=RedisPeerChannel(settings.redis_url, generation), intake=self._intake, runtime=runtime
                ),
            ),
            Child(
                self._recovery,
                lambda: RecoveryActor.start(
                    ledger=self._ledger,
                    router=self._router,
                    processors=tuple(self._processors.values()),
                    intake=self._intake,
                    shelf=FileJournalShelf(settings.journal_dir, settings.replica, generation, runtime.now_ms),
                    runtime=runtime,
                    generation=generation,
                    purged=self._follow_purge,
                ),
            ),
            Child(
                self._health,
                lambda: HealthActor.start(
                    processors=self._processors, board=self._board, probe=self._probe, runtime=runtime
                ),
            ),
        ]

    def _processor_child(self, processor: Processor) -> Child:
        return Child(
            self._processors[processor.name],
            lambda: ProcessorActor.start(
                name=processor.name,
                client=self._clients[processor.name],
                breaker=Breaker(BreakerLimits()),
                router=self._router,
                runtime=self._runtime,
                in_flight_max=self._settings.in_flight_max,
            ),
        )

    def begin_drain(self) -> None:
        """Turn unready; what is under way goes on."""
        self._draining = True

    def drain(self) -> None:
        """End in good order: charges under way end, what waits is written, the rest is left to others."""
        self.begin_drain()
        try:
            if self._supervisor is not None:
                self._come_to_rest()
                self._supervisor.stop()
        finally:
            if self._journal is not None:
                self._journal.close()
            for client in self._clients.values():
                client.close()
            self._probe.close()
            self._board.close()
            self._ledger.close()

    def _come_to_rest(self) -> None:
        """Send nothing more, wait within a limit until nothing is on its way to Postgres, and give up the lease."""
        for address in self._processors.values():
            address.tell(Drain())
        deadline_s = self._runtime.now_s() + DRAIN_S_MAX
        try:
            while self._runtime.now_s() < deadline_s:
                stamps = [peer.ask(OldestStamp(), ASK_S_MAX) for peer in self._processors.values()]
                waiting = [peer.ask(Backlog(), ASK_S_MAX) for peer in (self._router, self._persistence, self._intake)]
                if all(stamp is None for stamp in stamps) and not any(waiting):
                    break
                gevent.sleep(DRAIN_STEP_S)
            self._recovery.ask(Drain(), ASK_S_MAX)
        except GatewayUnavailableError as error:
            logger.warning("not all of it came to rest: %s", error)

    # What the HTTP side asks

    def now_ms(self) -> int:
        """Wall clock of this replica, milliseconds since the epoch."""
        return self._runtime.now_ms()

    def accept(self, payment: Payment) -> AcceptAnswer:
        """Make a payment durable.

        Raises:
            GatewayUnavailableError: starting, purging, stopping, or no answer within `ACCEPT_S_MAX`.
        """
        if not (self._at_work.wait(ACCEPT_S_MAX) and self._intake.is_alive):
            raise GatewayUnavailableError("the gateway is starting, purging or stopping")
        reply: AsyncResult[AcceptAnswer] = AsyncResult()
        try:
            self._intake.tell(Accept(payment, reply.set, self._runtime.now_s() + ACCEPT_S_MAX))
        except MailboxFullError:
            return AcceptAnswer.OVERLOADED
        answer = reply.wait(ACCEPT_S_MAX)
        if answer is None:
            raise GatewayUnavailableError("the journal does not answer")
        return answer

    def payment(self, correlation_id: UUID) -> PaymentStatus | None:
        """Tell how far a payment is; None where Postgres has no such payment (yet).

        Raises:
            LedgerUnavailableError: Postgres does not answer.
        """
        record = self._ledger.payment(correlation_id)
        if record is None:
            return None
        progress = None
        if record.owner == self._settings.replica:
            try:
                progress = self._router.ask(Describe(correlation_id), ASK_S_MAX)
            except GatewayUnavailableError:
                progress = None
        return PaymentStatus(record, progress)

    def summary(self, from_ms: int | None, to_ms: int | None) -> WindowSummary:
        """Add up the charges stamped within the bounds, both inclusive, each optional.

        Waits up to `SUMMARY_S_MAX` for charges that are under way with such a stamp, on all replicas.

        Raises:
            LedgerUnavailableError: Postgres does not answer.
        """
        now_ms = self._runtime.now_ms()
        ended_ms = now_ms if to_ms is None else min(to_ms, now_ms)
        deadline_s = self._runtime.now_s() + SUMMARY_S_MAX
        while True:
            with self._summaries:
                totals = self._ledger.summary(from_ms, to_ms)
            final = totals.final_before_ms > ended_ms
            if final or self._runtime.now_s() >= deadline_s:
                return self._by_name(totals, final=final)
            gevent.sleep(SUMMARY_STEP_S)

    def _by_name(self, totals: LedgerSummary, *, final: bool) -> WindowSummary:
        requests = dict.fromkeys(self._summary_names, 0)
        amounts_cents = dict.fromkeys(self._summary_names, 0)
        for total in totals.totals:
            requests[total.processor] = total.requests
            amounts_cents[total.processor] = total.amount_cents
        return WindowSummary(requests, amounts_cents, final)

    @property
    def _summary_names(self) -> tuple[str, ...]:
        return (*EVENT_NAMES, *(name for name in self._processors if name not in EVENT_NAMES))

    def purge(self) -> None:
        """Forget every payment, on all replicas, what is queued included; returns when it is done.

        Raises:
            GatewayUnavailableError: the replica is starting or stopping.
            LedgerUnavailableError: Postgres does not answer. A purge that has begun ends when it is back.
        """
        if not self._at_work.is_set():
            raise GatewayUnavailableError("the gateway is starting, purging or stopping")
        self._ledger.begin_purge()
        # In a greenlet of its own, which goes on whatever becomes of the client.
        gevent.spawn(self._follow_purge).join()

    def _follow_purge(self) -> None:
        while not self._draining:
            try:
                return self._purge_to(self._ledger.generation())
            except (LedgerUnavailableError, JournalUnavailableError) as error:
                logger.warning("a purge waits: %s", error)
                gevent.sleep(START_STEP_S)
        return None

    def _purge_to(self, generation: int) -> None:
        """Drop all that this replica holds, and take up work once every living replica has done so."""
        with self._purge_lock:
            if self._journal is None or self._supervisor is None or generation <= self._generation:
                return
            self._at_work.clear()
            self._supervisor.stop()
            self._journal.purge(generation)
            self._ledger.acknowledge_purge(generation)
            while not self._ledger.finish_purge(generation):
                gevent.sleep(PURGE_STEP_S)
            self._generation = generation
            logger.info("purged: generation %d", generation)
            if not self._draining:
                self._start_actors(self._journal)

    def census(self) -> Census:
        """Tell what this replica is busy with.

        Raises:
            GatewayUnavailableError: the router does not answer.
        """
        census: Census = self._router.ask(Count(), ASK_S_MAX)
        return census

    def dead_actors(self) -> tuple[str, ...]:
        """Names of the actors that should run and do not; empty before the start and while all is well."""
        return () if self._supervisor is None else self._supervisor.dead

    def readiness(self) -> Readiness:
        """Ask every part how it is."""
        parts = {
            "journal": _state_of(self._check_journal),
            "actors": _state_of(self._check_actors),
            "postgres": _state_of(self._ledger.ping),
            "redis": _state_of(self._board.ping),
            "payments": _state_of(self._check_payments),
        }
        if self._draining:
            parts["gateway"] = "draining"
        ready = not self._draining and parts["journal"] == parts["actors"] == "ok"
        return Readiness(ready, parts)

    def _check_journal(self) -> None:
        if self._journal is None:
            raise JournalUnavailableError("not open yet: waiting for Postgres")
        self._journal.check()

    def _check_payments(self) -> None:
        unresolved = self.census().unresolved
        if unresolved:
            raise GatewayUnavailableError(
                f"of {unresolved} it is unknown for over {UNRESOLVED_S:.0f} s whether they were charged"
            )

    def _check_actors(self) -> None:
        if self._supervisor is None:
            raise GatewayUnavailableError("not started yet")
        if self._supervisor.dead:
            raise GatewayUnavailableError(f"dead: {', '.join(self._supervisor.dead)}")


def _state_of(check: Callable[[], None]) -> str:
    try:
        check()
    except FielError as error:
        return str(error) or type(error).__name__
    return "ok"


def _sync_beside_the_loop(fd: int) -> None:
    """Sync a file in gevent's thread pool, so that other requests go on meanwhile."""
    gevent.get_hub().threadpool.apply(os.fdatasync, (fd,))
