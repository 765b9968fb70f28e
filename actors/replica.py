"""One replica: its start, its end, what it does about a purge, and how it is."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import gevent
from gevent.event import AsyncResult, Event
from gevent.lock import BoundedSemaphore

from actors.domain.breaker import BreakerState
from actors.domain.messages import (
    Accept,
    AcceptAnswer,
    Backlog,
    Census,
    Count,
    DescribeProcessor,
    Drain,
    ForceBreaker,
    OldestStamp,
    ProcessorStatus,
)
from actors.domain.payment import Payment
from actors.errors import (
    FielError,
    GatewayUnavailableError,
    JournalLockedError,
    JournalUnavailableError,
    LedgerUnavailableError,
    MailboxFullError,
)
from actors.router import UNRESOLVED_S
from actors.supervisor import RestartLimits, Supervisor
from actors.system import OwnedJournal, System

logger = logging.getLogger(__name__)

ACCEPT_S_MAX = 5.0
"""How long a client waits for the journal."""
ASK_S_MAX = 1.0
PURGE_STEP_S = 0.05
PURGE_S_MAX = 10.0
"""How long a client waits for the end of a purge."""
DRAIN_S_MAX = 2.0
DRAIN_STEP_S = 0.02
START_STEP_S = 0.2
JOURNAL_S_MAX = 15.0
"""How long a start waits for a journal that another process holds."""


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


class Replica:
    """The life of one replica of the gateway, whose HTTP side asks it to accept and to purge."""

    def __init__(self, system: System, end_process: Callable[[str], None]) -> None:
        """`end_process` is called with the reason when this process can no longer do its work."""
        self._system = system
        self._end_process = end_process
        self._journal: OwnedJournal | None = None
        self._supervisor: Supervisor | None = None
        self._generation = 0
        self._draining = False
        self._purge_lock = BoundedSemaphore()
        self._at_work = Event()
        """Not set while the replica starts or purges: those who post meanwhile wait."""

    def start(self) -> None:
        """Start in the background: wait for Postgres, open the journal, start the actors."""
        self._system.ledger.open()
        gevent.spawn(self._start)

    def _start(self) -> None:
        while not self._draining:
            try:
                self._generation = self._system.ledger.generation()
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

    def _open_journal(self) -> OwnedJournal:
        deadline_s = self._system.runtime.now_s() + JOURNAL_S_MAX
        while True:
            try:
                return self._system.open_journal(self._generation)
            except JournalLockedError as error:
                # Another replica may be taking over what an earlier run has left in it.
                if self._system.runtime.now_s() >= deadline_s:
                    raise
                logger.warning("waiting for the journal: %s", error)
                gevent.sleep(START_STEP_S)

    def _start_actors(self, journal: OwnedJournal) -> None:
        children = self._system.children(journal, self._generation, self._follow_purge)
        self._supervisor = Supervisor(children, self._system.runtime, RestartLimits(), self._end_process)
        self._supervisor.start()
        self._at_work.set()
        logger.info("replica %s is at work", self._system.settings.replica)

    def begin_drain(self) -> None:
        """Turn unready; what is under way goes on."""
        self._draining = True

    def drain(self) -> None:
        """End in good order: charges under way end, what waits is written, the rest is left to others."""
        self.begin_drain()
        try:
            if self._supervisor is not None:
                self._come_to_rest()
                for name in self._supervisor.stop():
                    logger.warning("%s did not stop in time", name)
        finally:
            if self._journal is not None:
                self._journal.close()
            self._system.close()

    def _come_to_rest(self) -> None:
        """Send nothing more, wait within a limit until nothing is on its way to Postgres, and give up the lease."""
        for address in self._system.processors.values():
            address.tell(Drain())
        deadline_s = self._system.runtime.now_s() + DRAIN_S_MAX
        try:
            while self._system.runtime.now_s() < deadline_s:
                stamps = [peer.ask(OldestStamp(), ASK_S_MAX) for peer in self._system.processors.values()]
                waiting = [
                    peer.ask(Backlog(), ASK_S_MAX)
                    for peer in (self._system.router, self._system.persistence, self._system.intake)
                ]
                if all(stamp is None for stamp in stamps) and not any(waiting):
                    break
                gevent.sleep(DRAIN_STEP_S)
            self._system.recovery.ask(Drain(), ASK_S_MAX)
        except GatewayUnavailableError as error:
            logger.warning("not all of it came to rest: %s", error)

    def now_ms(self) -> int:
        """Wall clock of this replica, milliseconds since the epoch."""
        return self._system.runtime.now_ms()

    def accept(self, payment: Payment) -> AcceptAnswer:
        """Make a payment durable.

        Raises:
            GatewayUnavailableError: starting, purging, stopping, or no answer within `ACCEPT_S_MAX`.
        """
        if not (self._at_work.wait(ACCEPT_S_MAX) and self._system.intake.is_alive):
            raise GatewayUnavailableError("the gateway is starting, purging or stopping")
        reply: AsyncResult[AcceptAnswer] = AsyncResult()
        try:
            self._system.intake.tell(Accept(payment, reply.set, self._system.runtime.now_s() + ACCEPT_S_MAX))
        except MailboxFullError:
            return AcceptAnswer.OVERLOADED
        answer = reply.wait(ACCEPT_S_MAX)
        if answer is None:
            raise GatewayUnavailableError("the journal does not answer")
        return answer

    def purge(self) -> None:
        """Forget every payment, on all replicas, what is queued included; returns when it is done.

        Raises:
            GatewayUnavailableError: the replica is starting or stopping.
            LedgerUnavailableError: Postgres does not answer. A purge that has begun ends when it is back.
        """
        if not self._at_work.wait(PURGE_S_MAX):
            raise GatewayUnavailableError("the gateway is starting, purging or stopping")
        self._system.ledger.begin_purge()
        # In a greenlet of its own, which goes on whatever becomes of the client.
        purge = gevent.spawn(self._follow_purge)
        purge.join(PURGE_S_MAX)
        if not purge.ready():
            raise GatewayUnavailableError("the purge is not over yet; it goes on")

    def _follow_purge(self) -> None:
        while not self._draining:
            try:
                return self._purge_to(self._system.ledger.generation())
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
            hanging = self._supervisor.stop()
            if hanging:
                # They would write what is purged beside their successors.
                self._end_process(f"{', '.join(hanging)} did not stop for a purge")
                return
            self._journal.purge(generation)
            self._system.ledger.acknowledge_purge(generation)
            while not self._system.ledger.finish_purge(generation):
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
        census: Census = self._system.router.ask(Count(), ASK_S_MAX)
        return census

    def processors(self) -> Mapping[str, ProcessorStatus]:
        """Tell what this replica knows of each processor, by name.

        Raises:
            GatewayUnavailableError: an actor does not answer.
        """
        return {name: actor.ask(DescribeProcessor(), ASK_S_MAX) for name, actor in self._system.processors.items()}

    def force_breaker(self, processor: str, state: BreakerState | None) -> bool:
        """Hold the breaker of a processor on all replicas in a forced state; None lets it go.

        Returns:
            False where there is no such processor.

        Raises:
            GatewayUnavailableError: starting, purging, stopping, or no answer within `ASK_S_MAX`; the order may hold
                all the same then, and may be given again.
        """
        return bool(self._system.health.ask(ForceBreaker(processor, state), ASK_S_MAX))

    def dead_actors(self) -> tuple[str, ...]:
        """Names of the actors that should run and do not; empty before the start and while all is well."""
        return () if self._supervisor is None else self._supervisor.dead

    def readiness(self) -> Readiness:
        """Ask every part how it is."""
        parts = {
            "journal": _state_of(self._check_journal),
            "actors": _state_of(self._check_actors),
            "postgres": _state_of(self._system.ledger.ping),
            "redis": _state_of(self._system.board.ping),
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
