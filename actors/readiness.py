"""Tells whether a replica takes payments, and the state of each of its parts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from actors.domain.wall_clock import WallClock
from actors.errors import FielError, GatewayUnavailableError, JournalUnavailableError
from actors.messages.lease import GetForgotten
from actors.messages.router import RouterStats
from actors.messages.trouble import GetTrouble
from actors.ports import OwnedJournal, Recipient
from actors.router import UNRESOLVED_S
from actors.settings import Durability
from actors.supervisor import Supervisor
from actors.system import System

OK = "ok"
ASK_S_MAX = 0.5
"""How long each actor may take to tell what keeps it from its work."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether this replica takes payments, and the state of each of its parts."""

    ready: bool
    parts: dict[str, str]
    """State of each part by name; `ok` where nothing is wrong."""

    @property
    def degraded(self) -> bool:
        """Whether a part is missing that payments are accepted without."""
        return self.ready and any(state != OK for state in self.parts.values())


def check_readiness(
    system: System,
    journal: OwnedJournal | None,
    supervisor: Supervisor | None,
    stats: Callable[[], RouterStats],
    obstacle: str | None,
) -> Readiness:
    """Ask every part for its state. `journal` and `supervisor` are None until the replica has started.

    `obstacle` is what keeps the whole replica from taking payments, if there is something.
    """
    parts = system.parts
    # Before the start no actor has used the stores.
    users = (system.lease, system.persistence, system.health, system.gossip) if supervisor else ()
    states = {
        "journal": _state_of(lambda: _check_journal(journal)),
        "segments": _state_of(lambda: _check_segments(journal)),
        "actors": _state_of(lambda: _check_actors(supervisor)),
        "postgres": _state_of(lambda: _check_store(parts.database.ping, users[:2])),
        # Payments are taken all the same, and charged with more care.
        "records": _state_of(lambda: _check_answers(users[:1], GetForgotten())),
        "redis": _state_of(lambda: _check_store(parts.board.ping, users[2:])),
        "clock": _state_of(lambda: _check_clock(parts.runtime.clock)),
        "payments": _state_of(lambda: _check_payments(stats())),
    }
    if obstacle is not None:
        states["gateway"] = obstacle
    # While its clock keeps the replica from joining, what it accepts waits for other replicas.
    is_kept_out = parts.runtime.clock.is_skewed and not parts.runtime.clock.has_joined
    needed = ["journal", "actors"]
    if system.settings.durability is Durability.LEDGER:
        needed.append("postgres")
    ready = obstacle is None and not is_kept_out and all(states[each] == OK for each in needed)
    return Readiness(ready, states)


def _check_journal(journal: OwnedJournal | None) -> None:
    if journal is None:
        raise JournalUnavailableError("not open yet: waiting for Postgres")
    journal.check()


def _check_segments(journal: OwnedJournal | None) -> None:
    """Check that every file of the journal could be read and deleted: payments are taken all the same."""
    trouble = journal.trouble() if journal else None
    if trouble is not None:
        raise JournalUnavailableError(trouble)


def _check_actors(supervisor: Supervisor | None) -> None:
    if supervisor is None:
        raise GatewayUnavailableError("not started yet")
    if supervisor.dead:
        raise GatewayUnavailableError(f"dead: {', '.join(supervisor.dead)}")


def _check_clock(clock: WallClock) -> None:
    if clock.trouble is not None:
        raise GatewayUnavailableError(clock.trouble)


def _check_store(ping: Callable[[], None], users: Sequence[Recipient]) -> None:
    """Check that a store answers, and then that the actors that use it can do so: it may refuse to be written."""
    ping()
    _check_answers(users, GetTrouble())


def _check_answers(actors: Sequence[Recipient], question: GetTrouble | GetForgotten) -> None:
    """Check that no actor has anything to say to a question for what is wrong."""
    for actor in actors:
        trouble: str | None = actor.ask(question, ASK_S_MAX)
        if trouble is not None:
            raise GatewayUnavailableError(trouble)


def _check_payments(stats: RouterStats) -> None:
    if stats.unresolved:
        raise GatewayUnavailableError(
            f"of {stats.unresolved} it is unknown for over {UNRESOLVED_S:.0f} s whether they were charged"
        )


def _state_of(check: Callable[[], None]) -> str:
    try:
        check()
    except FielError as error:
        return str(error) or type(error).__name__
    return OK
