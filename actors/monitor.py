"""The monitor: notes the state of its replica once a second, and shares it with the others for the live page.

It is no actor, so that it also tells of a replica that starts, purges or has lost an actor. Nothing relies on it.
"""

from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, TypeVar

from actors.domain.happenings import WARN, Happening, happenings
from actors.domain.records import LastPurge
from actors.domain.replica_status import ReplicaStatus, ReplicaUsage, SeenProcessor
from actors.domain.seconds import KEPT_S, Second
from actors.domain.version import VERSION
from actors.errors import GatewayUnavailableError, StatusUnavailableError
from actors.logs import get_logger
from actors.messages.persistence import Incidents
from actors.messages.processor import ProcessorStatus
from actors.messages.router import RouterStats
from actors.outages import OutageReporter
from actors.ports import Runtime, StatusBoard
from actors.readiness import Readiness

logger = get_logger(__name__)

STEP_S = 1.0
HAPPENINGS_MAX = 50
"""Happenings that a replica remembers, and that wait to be shared."""

Told = TypeVar("Told")


class WatchedReplica(Protocol):
    """What the monitor asks of its replica; each question raises `GatewayUnavailableError` without an answer."""

    def readiness(self) -> Readiness:
        """Ask every part for its state."""

    def stats(self) -> RouterStats:
        """Tell what this replica is busy with."""

    def incidents(self) -> Incidents:
        """Count what has ended."""

    def processors(self) -> Mapping[str, ProcessorStatus]:
        """Tell what is known of each processor."""

    @property
    def last_purge(self) -> LastPurge | None:
        """The last purge that it has followed; None before its start."""


@dataclass(frozen=True, slots=True)
class PostAnswers:
    """The answers to posted payments since the start of the process."""

    accepted: int
    durations: tuple[int, ...]
    """How many there are in each bucket of a histogram of their durations; estimates."""


class Monitor:
    """Knows the state of this replica, and what it did in the last five minutes."""

    def __init__(
        self,
        *,
        name: str,
        replica: WatchedReplica,
        board: StatusBoard,
        answers: Callable[[], PostAnswers],
        usage: Callable[[], ReplicaUsage],
        runtime: Runtime,
    ) -> None:
        self._name = name
        self._replica = replica
        self._board = board
        self._answers = answers
        self._usage = usage
        self._runtime = runtime
        self._started_at_ms = runtime.now_ms()
        self._answered = answers()
        self._settled: Mapping[str, int] = {}
        """Settlements by processor, as they were counted last."""
        self.status: ReplicaStatus | None = None
        """The state that was noted last."""
        self.seconds: deque[Second] = deque(maxlen=KEPT_S)
        self.happenings: deque[Happening] = deque(maxlen=HAPPENINGS_MAX)
        self._untold_seconds: deque[Second] = deque(maxlen=KEPT_S)
        self._untold_happenings: deque[Happening] = deque(maxlen=HAPPENINGS_MAX)
        self._is_stopped = False
        self._unnoted = OutageReporter(logger, "the state of this replica could not be noted", runtime.now_s, "error")

    def start(self) -> None:
        """Begin to note, in the background."""
        self._runtime.spawn(self._run)

    def stop(self) -> None:
        """Note nothing more, and let the others know that this replica leaves."""
        self._is_stopped = True
        with suppress(StatusUnavailableError):
            self._board.leave(
                Happening(self._runtime.now_ms(), self._name, "replica", WARN, f"replica {self._name} ended")
            )

    def _run(self) -> None:
        try:
            self.begin()
        except Exception:
            logger.exception("the status of an earlier process could not be read")
        while not self._is_stopped:
            try:
                self.step()
            except Exception:  # noqa: BLE001  # it is told
                self._unnoted.occurred(exc_info=True)
            # Steps lie on whole seconds, so that those of all replicas are of the same seconds.
            self._runtime.sleep(STEP_S - self._runtime.now_ms() / 1000 % STEP_S)

    def begin(self) -> None:
        """Read the last state that an earlier process of this replica has shared."""
        with suppress(StatusUnavailableError):
            heard = self._board.hear(1).heard
            self.status = next((each.status for each in heard if each.status.replica == self._name), None)

    def step(self) -> None:
        """Note the second that has ended, and share what was not shared yet."""
        # The second that has just ended: a step comes a little after it.
        at_s = round(self._runtime.now_ms() / 1000) - 1
        incidents, answered = _asked(self._replica.incidents), self._answers()
        status = self._look(incidents, answered)
        second = self._second(at_s, status, incidents, answered)
        told = happenings(self.status, status)
        self.status = status
        for kept in (self.seconds, self._untold_seconds):
            kept.append(second)
        for waiting in (self.happenings, self._untold_happenings):
            waiting.extend(told)
        try:
            self._board.tell(status, list(self._untold_seconds), list(self._untold_happenings))
        except StatusUnavailableError as error:
            logger.debug("the state of this replica is not shared", reason=str(error))
            return
        self._untold_seconds.clear()
        self._untold_happenings.clear()

    def _look(self, incidents: Incidents | None, answered: PostAnswers) -> ReplicaStatus:
        readiness, stats = self._replica.readiness(), _asked(self._replica.stats)
        known = _asked(self._replica.processors) or {}
        usage, purge = self._usage(), self._replica.last_purge
        before = self.status if self.status and self.status.started_at_ms == self._started_at_ms else None
        return ReplicaStatus(
            replica=self._name,
            at_ms=self._runtime.now_ms(),
            started_at_ms=self._started_at_ms,
            version=VERSION,
            generation=purge.generation if purge else 0,
            readiness="degraded" if readiness.degraded else "ready" if readiness.ready else "unready",
            parts=readiness.parts,
            waiting=dict(stats.unsettled) if stats else {},
            # Without an answer a value stays as it was; otherwise the next answer would count as news.
            unresolved=stats.unresolved if stats else before.unresolved if before else 0,
            disputes=incidents.disputes if incidents else before.disputes if before else 0,
            closed=_closed(incidents) if incidents else before.closed if before else {},
            adopted=stats.adopted if stats else before.adopted if before else 0,
            answers_per_s=sum(answered.durations) - sum(self._answered.durations),
            memory_bytes=usage.memory_bytes,
            memory_bytes_max=usage.memory_bytes_max,
            journal_bytes=usage.journal_bytes,
            processors={
                name: _seen(processor, stats.waited_for_s.get(name, 0.0) if stats else 0.0)
                for name, processor in known.items()
            },
        )

    def _second(self, at_s: int, status: ReplicaStatus, incidents: Incidents | None, answered: PostAnswers) -> Second:
        before, self._answered = self._answered, answered
        settled = {}
        if incidents is not None:
            # Actors that were started anew count from nothing.
            settled = {
                name: count - was if (was := self._settled.get(name, 0)) <= count else count
                for name, count in incidents.settled.items()
            }
            self._settled = incidents.settled
        return Second(
            at_s=at_s,
            accepted=answered.accepted - before.accepted,
            waiting=status.waiting_count if status.waiting else None,
            settled=settled,
            latency_ms={
                name: None if seen.latency_s is None else round(seen.latency_s * 1000, 1)
                for name, seen in status.processors.items()
            },
            down=tuple(name for name, seen in status.processors.items() if seen.is_down),
            answers=tuple(now - was for now, was in zip(answered.durations, before.durations, strict=True)),
        )


def _asked(question: Callable[[], Told]) -> Told | None:
    with suppress(GatewayUnavailableError):
        return question()
    return None


def _closed(incidents: Incidents) -> dict[str, int]:
    return {state.value: count for state, count in incidents.closed.items()}


def _seen(processor: ProcessorStatus, waited_for_s: float) -> SeenProcessor:
    changes = processor.transitions
    # While it is down, the latest change is one of its probes; what began the outage says more.
    began = [each for each in changes if each.transition.before.is_closed or each.transition.before.is_forced]
    change = next(iter((changes if processor.state.is_closed or not began else began)[-1:]), None)
    return SeenProcessor(
        charges=processor.charges,
        state=processor.state.value,
        since_ms=change.at_ms if change else None,
        cause=change.transition.cause.value if change else None,
        under_way=processor.under_way,
        limit=processor.limit,
        latency_s=processor.latency_s,
        failure_rate=processor.failure_rate,
        slow_rate=processor.slow_rate,
        health=processor.health,
        waited_for_s=waited_for_s,
    )
