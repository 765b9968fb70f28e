"""The supervisor: starts all actors in order, restarts all when one of them dies, and finds one that hangs.

Whatever an actor held is in the journal or in Postgres. All actors are restarted together, so that a crash of an actor
is recovered from in the same way as a start of the process. An actor that hangs cannot be stopped, so the supervisor
ends the process. If an actor hangs without ever yielding, the supervisor cannot run; then gunicorn's `timeout` ends the
process.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gevent.lock import BoundedSemaphore

from actors.actor import Actor, Address
from actors.domain.backoff import Backoff
from actors.logs import get_logger
from actors.ports import Runtime

logger = get_logger(__name__)

CHECK_S = 0.1
"""Time between two checks of all actors."""
WAIT_S = 0.25
"""Time between two questions whether the actors may start."""
HANG_S_MAX = 20.0
"""How long an actor may be busy with one message.

This is longer than all calls that one message may wait for, if each is answered at the last moment: 15 s for a
heartbeat of the lease with two processors (three questions of 1 s, four statements of 3 s), 8 s for a batch (5 s,
and 3 s to report conflicts), 6 s for a round of health calls. A sync of the journal has no other limit than this one.
"""
STOP_S_MAX = HANG_S_MAX + 5.0
"""How long all actors together may take to stop for a restart or a purge: what is busy and does not hang comes to its
end, and then persistence writes one batch more. Stopping early would end the process, and cut its clients.
"""


@dataclass(frozen=True, slots=True)
class Child:
    """One actor under supervision."""

    address: Address
    make: Callable[[], Actor]
    """Makes the actor, which is not started yet."""


@dataclass(frozen=True, slots=True)
class RestartLimits:
    """How often the actors may be restarted, and how long each of them may take."""

    restarts_max: int = 5
    within_s: float = 60.0
    """`restarts_max` applies to any period of this length."""
    backoff: Backoff = Backoff(first_s=0.05, longest_s=2.0)  # noqa: RUF009  # frozen, so it can be shared
    stop_s_max: float = STOP_S_MAX
    """How long all actors together may take to stop."""
    hang_s_max: float = HANG_S_MAX
    """How long an actor may be busy with one message, in checks: while the process is suspended, no time counts."""


class Supervisor:
    """Starts, watches, restarts and stops the actors of one replica."""

    def __init__(
        self,
        children: Sequence[Child],
        runtime: Runtime,
        limits: RestartLimits,
        give_up: Callable[[str], None],
        may_start: Callable[[], bool] = lambda: True,
    ) -> None:
        """`give_up` is called with the reason when restarts do not help. It is expected to end the process.

        `may_start` is asked before each start of the actors, every `WAIT_S` until it is true.
        """
        self._children = children
        self._runtime = runtime
        self._limits = limits
        self._give_up = give_up
        self._may_start = may_start
        self.restarts = 0
        """How often all actors were restarted."""
        self._restarts_s: list[float] = []
        self._watching = False
        self._closed = False
        self._starting = BoundedSemaphore()

    def start(self) -> None:
        """Start all actors in the order given as soon as they may start, and watch them."""
        while not self._closed and not self._may_start():
            self._runtime.sleep(WAIT_S)
        with self._starting:
            for child in self._children:
                if self._closed:
                    return
                try:
                    actor = child.make()
                    actor.launch()
                    child.address.bind(actor)
                except Exception:
                    # The next check finds that the actor is not alive, as after an error in `on_start`.
                    logger.exception("an actor cannot be created", actor=child.address.name)
            self._watching = True
        self._runtime.call_later(CHECK_S, self._runtime.spawn, self.check)

    def stop(self, stop_s_max: float | None = None) -> list[str]:
        """End all actors for good, in reverse order. Each handles what waits in its mailbox first. May be called again.

        All together may take `stop_s_max`; where none is given, what the limits say.

        Returns:
            Names of the actors that did not end in time.
        """
        self._closed = True
        with self._starting:  # An actor that is being launched has no address yet.
            pass
        return self._stop_children(self._limits.stop_s_max if stop_s_max is None else stop_s_max)

    def _stop_children(self, stop_s_max: float) -> list[str]:
        """End all actors, and return the names of those that did not end in time."""
        self._watching = False
        deadline_s = self._runtime.now_s() + stop_s_max
        return [
            child.address.name
            for child in reversed(self._children)
            if not child.address.stop(max(0.0, deadline_s - self._runtime.now_s()))
        ]

    @property
    def dead(self) -> tuple[str, ...]:
        """Names of the actors that are not alive, or have been busy with one message for half of `hang_s_max`."""
        return tuple(
            child.address.name
            for child in self._children
            if not child.address.is_alive or self._is_busy_for(child.address, self._limits.hang_s_max / 2)
        )

    @staticmethod
    def _is_busy_for(address: Address, duration_s: float) -> bool:
        return address.busy_checks * CHECK_S >= duration_s

    def check(self) -> None:
        """Check once whether all actors are alive and none hangs; restart all of them or give up if not."""
        if not self._watching:
            return
        addresses = [child.address for child in self._children]
        for address in addresses:
            address.check_busy()
        dead = [address.name for address in addresses if not address.is_alive]
        stuck = [
            f"{address.name} with {type(address.busy_with).__name__}"
            for address in addresses
            if address.is_alive and self._is_busy_for(address, self._limits.hang_s_max)
        ]
        if stuck:
            self._watching = False
            self._give_up(f"for {self._limits.hang_s_max} s busy with one message: {', '.join(stuck)}")
            return
        if not dead:
            self._runtime.call_later(CHECK_S, self._runtime.spawn, self.check)
            return
        hanging = self._stop_children(self._limits.stop_s_max)
        if hanging:
            # It would keep running beside its successor, with outdated knowledge of what is to be charged where.
            self._give_up(f"{', '.join(dead)} died, and {', '.join(hanging)} did not stop")
            return
        now_s = self._runtime.now_s()
        self._restarts_s = [at_s for at_s in self._restarts_s if now_s - at_s < self._limits.within_s]
        if len(self._restarts_s) >= self._limits.restarts_max:
            self._give_up(f"{', '.join(dead)} died {self._limits.restarts_max + 1} times in {self._limits.within_s} s")
            return
        self._restarts_s.append(now_s)
        self.restarts += 1
        pause_s = self._limits.backoff.pause_s(len(self._restarts_s))
        logger.error("actors died: all are restarted", actors=dead, pause_s=round(pause_s, 2))
        self._runtime.call_later(pause_s, self._runtime.spawn, self.start)
