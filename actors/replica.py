"""One replica of the gateway: its start, its end, and what its HTTP side asks of it."""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from gevent.event import Event
from gevent.hub import Waiter, get_hub

from actors.arbiter import Arbiter
from actors.domain.breaker import BreakerState
from actors.domain.payment import Payment
from actors.domain.records import NOTHING_MISSING, LastPurge
from actors.errors import (
    GatewayUnavailableError,
    JournalLockedError,
    JournalUnavailableError,
    LedgerUnavailableError,
    MailboxFullError,
)
from actors.logs import get_logger
from actors.measurements import Measurements, measure
from actors.messages.health import ForceBreaker, GetOrderReach, OrderReach
from actors.messages.intake import Accept, AcceptAnswer, GetWaiting
from actors.messages.lease import GetLivingCount, Leave
from actors.messages.persistence import GetIncidents, GetUnwritten, Incidents
from actors.messages.processor import Drain, GetProcessorStatus, GetUnreported, ProcessorStatus
from actors.messages.router import GetBeingWritten, GetDrivenCount, GetRouterStats, RouterStats
from actors.outages import TimedOutageReporter
from actors.own_name import OwnName
from actors.ports import OwnedJournal, Recipient
from actors.purge import Purger
from actors.readiness import Readiness, check_readiness
from actors.supervisor import Supervisor
from actors.system import System

logger = get_logger(__name__)

ACCEPT_S_MAX = 5.0
"""How long a client waits for the journal."""
ASK_S_MAX = 1.0
ORDER_S_MAX = 1.0
"""How long an operator waits until all living replicas say that they hold the order."""
ORDER_STEP_S = 0.05
DRAIN_S_MAX = 2.0
"""How long a stop waits for the ends of charges and for their commits, once it lets nothing more be charged."""
LEAVE_S_MAX = 1.0
"""How long a stop then waits until the lease is given up."""
DRAIN_STOP_S_MAX = 1.0
"""How long a stop then waits for all actors to end; what one of them is still busy with is found again by others."""
DRAIN_STEP_S = 0.02
PURGE_REST_S_MAX = 5.0
"""How long a purge waits for the ends of charges and for their commits; its client waits for `PURGE_S_MAX`."""
START_STEP_S = 0.2
NOT_AT_WORK = "the gateway is starting, purging or stopping"
LAME_DUCK = "lame duck: it was told to end, and still serves clients for a while"
TELL_S = 60.0
"""Time between two lines of the log about a journal that another process holds."""
JOURNAL_RETRY_S = 2.0
"""Time after which a start tries again to open a journal that the disk does not give."""


class Replica:
    """The life of one replica, from its start to its drain."""

    def __init__(
        self,
        system: System,
        end_process: Callable[[str], None],
        accept_s_max: float = ACCEPT_S_MAX,
        is_lame_duck: Callable[[], bool] = lambda: False,
        settle_s_max: float = 1.0,
    ) -> None:
        """`end_process` is called with the reason when this process can no longer do its work.

        `is_lame_duck` tells whether it will end soon, and works as always until then. At its end it lets accepted
        payments be settled as usual for `settle_s_max` at most.
        """
        self._system = system
        self._parts = system.parts
        self._end_process = end_process
        self._accept_s_max = accept_s_max
        self._is_lame_duck = is_lame_duck
        self._settle_s_max = settle_s_max
        self._arbiter = Arbiter(self._parts.payments, system.intake, self._parts.runtime)
        self._journal: OwnedJournal | None = None
        self._journal_trouble: str | None = None
        """Why the journal could not be opened at the last try."""
        runtime = self._parts.runtime
        self._postgres_waits = TimedOutageReporter(logger, "the start waits for Postgres", runtime)
        self._journal_waits = TimedOutageReporter(logger, "the start waits for the journal", runtime)
        self._supervisor: Supervisor | None = None
        self._draining = False
        self._at_work = Event()
        """Not set while the replica starts or purges, or does not have its name: clients that post meanwhile wait."""
        self._own_name = OwnName(self._parts.leases, self._parts.runtime)
        self._had_name = False
        """Whether this process has had its name, and nobody else was seen to have it since."""
        self._purger = Purger(
            purges=self._parts.purges, leases=self._parts.leases, runtime=self._parts.runtime, replica=self
        )

    def start(self) -> None:
        """Start in the background: wait for Postgres, open the journal, start the actors."""
        self._parts.database.open()
        self._parts.runtime.spawn(self._start)

    def _start(self) -> None:
        while not self._draining:
            try:
                # If one has begun that no replica has finished, the lease finds its generation, and it is followed.
                self._purger.last_purge = self._parts.purges.finished_purge()
                break
            except LedgerUnavailableError as error:
                self._postgres_waits.failed(reason=str(error))
                self._parts.runtime.sleep(START_STEP_S)
        self._journal = self._open_journal()
        self.start_actors()

    def _open_journal(self) -> OwnedJournal | None:
        """Open the journal as soon as nobody else holds it and the disk gives it; None when draining meanwhile."""
        while not self._draining:
            try:
                return self._parts.open_journal(self._purger.last_purge)
            except JournalLockedError as error:
                # Another replica may be taking over what an earlier run has left in it, or was given the same name.
                self._journal_trouble = str(error)
                self._journal_waits.failed(reason=str(error))
                self._parts.runtime.sleep(START_STEP_S)
            except JournalUnavailableError as error:
                # Another process in the place of this one would find the same disk.
                self._journal_trouble = str(error)
                self._journal_waits.failed(reason=str(error))
                self._parts.runtime.sleep(JOURNAL_RETRY_S)
        return None

    def start_actors(self) -> None:
        """Start all actors over the journal, unless the replica is draining."""
        if self._draining or self._journal is None:
            return
        children = self._system.children(self._journal, self._purger.last_purge, self._purger.follow, self._begin_work)
        self._supervisor = Supervisor(
            children, self._parts.runtime, self._parts.restart_limits, self._end_process, self._may_start
        )
        self._supervisor.start()

    def _may_start(self) -> bool:
        """Tell whether no other process has this replica's name; while one has it, nothing is accepted."""
        try:
            is_free = self._own_name.is_free()
        except LedgerUnavailableError as error:
            if not self._had_name:
                self._postgres_waits.failed(reason=str(error))
                return False
            # A replica whose actors start anew, or after a purge, goes on without Postgres.
            self._begin_work()
            return True
        if not is_free:
            self._had_name = False
            self._at_work.clear()
        return is_free

    def _begin_work(self) -> None:
        self._had_name = True
        if not self._at_work.is_set():
            self._at_work.set()
            self._postgres_waits.succeeded()
            self._journal_waits.succeeded()
            logger.info("the replica is running")

    def stop_actors(self) -> OwnedJournal | None:
        """Stop all actors, so that their journal can be purged, after what is under way has ended and is committed.

        Payments are accepted until the actors stop: the journal keeps them. What is still under way after
        `PURGE_REST_S_MAX` is lost with what is purged: a processor may book it, and nobody knows of it.

        Returns:
            The journal; None where there is none yet, or an actor did not stop, and the process ends.
        """
        if self._journal is None or self._supervisor is None:
            return None
        self._rest(PURGE_REST_S_MAX)
        self._at_work.clear()
        hanging = self._supervisor.stop()
        if hanging:
            # They would go on beside their successors, and write what is purged.
            self._end_process(f"{', '.join(hanging)} did not stop for a purge")
            return None
        return self._journal

    @property
    def is_draining(self) -> bool:
        """Whether the replica is about to end."""
        return self._draining

    def begin_drain(self) -> None:
        """Turn unready; what is under way goes on."""
        self._draining = True
        self._system.queries.feed.end()

    def drain(self) -> None:
        """End in good order: charges under way end, what waits is written, the rest is left to others."""
        self.begin_drain()
        try:
            if self._supervisor is not None:
                self._come_to_rest()
                hanging = self._supervisor.stop(DRAIN_STOP_S_MAX)
                for name in hanging:
                    logger.warning("an actor did not stop in time", actor=name)
                if not hanging:
                    self._note_emptied()
        finally:
            if self._journal is not None:
                if self._journal.held:
                    logger.warning("payments may be in this journal alone", payments=self._journal.held)
                self._journal.close()
            self._system.close()

    def _note_emptied(self) -> None:
        """If all that was accepted is in Postgres, let the others know that they need not wait for this replica."""
        journal = self._journal
        if journal is None or journal.held or journal.unread_segments or journal.trouble() is not None:
            return
        try:
            self._parts.leases.note_emptied()
        except (LedgerUnavailableError, JournalUnavailableError) as error:
            logger.warning("other replicas believe that this replica still has payments", reason=str(error))

    def _come_to_rest(self) -> None:
        """Settle what can be settled soon, send nothing more, wait for what is under way, and give up the lease."""
        self._settle()
        self._rest(DRAIN_S_MAX)
        try:
            self._system.lease.ask(Leave(), LEAVE_S_MAX)
        except GatewayUnavailableError as error:
            logger.warning("the lease could not be given up: it runs out", reason=str(error))

    def _rest(self, rest_s_max: float) -> None:
        """Send nothing more, and wait until every charge under way has ended and is committed."""
        system, runtime = self._system, self._parts.runtime
        for address in system.processors.values():
            address.tell(Drain())
        deadline_s = runtime.now_s() + rest_s_max
        ask = self._asker(deadline_s)
        try:
            while runtime.now_s() < deadline_s:
                unreported = [ask(each, GetUnreported()) for each in system.processors.values()]
                waiting = (ask(system.router, GetBeingWritten()), ask(system.persistence, GetUnwritten()))
                if all(each == NOTHING_MISSING for each in unreported) and not any(waiting):
                    return
                runtime.sleep(DRAIN_STEP_S)
            logger.warning("some charges under way did not end in time", waited_s=rest_s_max)
        except GatewayUnavailableError as error:
            logger.warning("it is not known whether all charges under way have ended", reason=str(error))

    def _settle(self) -> None:
        """Let accepted payments be settled as usual, for a while: what is left then waits for another replica."""
        system, runtime = self._system, self._parts.runtime
        deadline_s = runtime.now_s() + self._settle_s_max
        ask = self._asker(deadline_s)
        with contextlib.suppress(GatewayUnavailableError):
            while runtime.now_s() < deadline_s and (
                ask(system.intake, GetWaiting()) or ask(system.router, GetDrivenCount())
            ):
                runtime.sleep(DRAIN_STEP_S)

    def _asker(self, deadline_s: float) -> Callable[[Recipient, object], Any]:
        """Make a function that asks an actor, and waits for its answer up to the deadline or `ASK_S_MAX`."""
        now_s = self._parts.runtime.now_s
        return lambda actor, question: actor.ask(question, min(ASK_S_MAX, max(0.0, deadline_s - now_s())))

    @property
    def last_purge(self) -> LastPurge | None:
        """The last purge that this replica has followed; None before its start."""
        return None if self._journal is None else self._purger.last_purge

    def now_ms(self) -> int:
        """Wall clock of this replica, milliseconds since the epoch."""
        return self._parts.runtime.now_ms()

    def accept(self, payment: Payment) -> AcceptAnswer:
        """Make a payment durable. If clients wait for rows, it is `IN_DOUBT` when there is no answer in time.

        Raises:
            GatewayUnavailableError: starting, purging, stopping, no answer within `ACCEPT_S_MAX`, or another process
                has this replica's name.
        """
        wait_s = self._accept_s_max
        if not self._at_work.is_set():
            self._wait_for_work()
        if not self._system.intake.is_alive:
            raise GatewayUnavailableError(NOT_AT_WORK)
        # On every payment's way: a waiter and a timer of the loop cost a third of an `AsyncResult` with a timeout.
        loop = get_hub().loop
        waiter: Waiter[AcceptAnswer | None] = Waiter()
        timer = loop.timer(wait_s)
        timer.start(waiter.switch, None)

        def reply(answer: AcceptAnswer) -> None:
            loop.run_callback(waiter.switch, answer)

        try:
            self._system.intake.tell(Accept(payment, reply, self._parts.runtime.now_s() + wait_s))
            answer: AcceptAnswer | None = waiter.get()
        except MailboxFullError:
            return AcceptAnswer.OVERLOADED
        finally:
            timer.close()
        if answer is None:
            if self._system.settings.durability.awaits_rows:
                return AcceptAnswer.IN_DOUBT
            raise GatewayUnavailableError("the journal does not answer")
        if answer is AcceptAnswer.UNCONFIRMED or answer is AcceptAnswer.CONTESTED:
            return self._arbiter.decide(payment, answer)
        return answer

    def purge(self) -> None:
        """Forget every payment, on all replicas, what is queued included; returns when it is done.

        Raises:
            GatewayUnavailableError: the replica is starting or stopping, or the purge takes long and goes on.
            LedgerUnavailableError: Postgres does not answer. A purge that has begun ends when it is back.
        """
        self._wait_for_work()
        self._purger.purge()

    def _wait_for_work(self) -> None:
        """Wait until the replica is at work, which it may not be soon where another process has its name."""
        if self._own_name.trouble is not None or not self._at_work.wait(self._accept_s_max):
            raise GatewayUnavailableError(self._own_name.trouble or NOT_AT_WORK)

    def stats(self) -> RouterStats:
        """Tell what this replica is busy with.

        Raises:
            GatewayUnavailableError: the router does not answer.
        """
        stats: RouterStats = self._system.router.ask(GetRouterStats(), ASK_S_MAX)
        return stats

    def incidents(self) -> Incidents:
        """Count what has ended on this replica that an operator has to know of.

        Raises:
            GatewayUnavailableError: persistence does not answer.
        """
        incidents: Incidents = self._system.persistence.ask(GetIncidents(), ASK_S_MAX)
        return incidents

    def processors(self) -> Mapping[str, ProcessorStatus]:
        """Tell what this replica knows of each processor, by name.

        Raises:
            GatewayUnavailableError: an actor does not answer.
        """
        return {name: actor.ask(GetProcessorStatus(), ASK_S_MAX) for name, actor in self._system.processors.items()}

    def measurements(self) -> Measurements:
        """Tell what else was counted and measured, and how full this replica is; what is not answered is None."""
        return measure(self._system, self._supervisor)

    def force_breaker(self, processor: str, state: BreakerState | None) -> OrderReach | None:
        """Hold the breaker of a processor on all replicas in a forced state; None lets it go.

        Returns:
            How many replicas hold the order, all of them or after `ORDER_S_MAX`; None where there is no such processor.

        Raises:
            GatewayUnavailableError: starting, purging, stopping, or no answer within `ASK_S_MAX`; the order may hold
                all the same then, and may be given again.
        """
        system, runtime = self._system, self._parts.runtime
        if not system.health.ask(ForceBreaker(processor, state), ASK_S_MAX):
            return None
        deadline_s = runtime.now_s() + ORDER_S_MAX
        living = self._living_count()
        while True:
            reach: OrderReach = system.health.ask(GetOrderReach(processor), ASK_S_MAX)
            # A replica that Postgres does not count may be heard through Redis, and the other way round.
            of = max(reach.of, living)
            if reach.replicas >= of or runtime.now_s() >= deadline_s:
                return OrderReach(reach.replicas, of)
            runtime.sleep(ORDER_STEP_S)

    def _living_count(self) -> int:
        """Count the replicas that had a lease when Postgres told last; 1 if the lease actor does not answer."""
        with contextlib.suppress(GatewayUnavailableError):
            return int(self._system.lease.ask(GetLivingCount(), ASK_S_MAX))
        return 1

    def dead_actors(self) -> tuple[str, ...]:
        """Names of the actors that should run and do not; empty before the start and while all is well."""
        return () if self._supervisor is None or not self._at_work.is_set() else self._supervisor.dead

    def readiness(self) -> Readiness:
        """Ask every part for its state."""
        obstacle = "draining" if self._draining else LAME_DUCK if self._is_lame_duck() else self._own_name.trouble
        if obstacle is None and not self._at_work.is_set():
            obstacle = self._journal_trouble if self._journal is None and self._journal_trouble else NOT_AT_WORK
        return check_readiness(self._system, self._journal, self._supervisor, self.stats, obstacle)
