import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pykka
import pytest

from actors.actor import Actor, Address
from actors.errors import GatewayUnavailableError, MailboxFullError
from actors.supervisor import CHECK_S, Child, RestartLimits, Supervisor
from tests.actors.fakes import VirtualRuntime

WAIT_S_MAX = 10.0


class Echo(Actor):
    """Answers what it is asked, and dies of an exception that it is told."""

    INBOX_MAX = 3
    REFUSED_WHEN_FULL = (str,)

    def on_receive(self, message: object) -> object:
        if isinstance(message, BaseException):
            raise message
        if isinstance(message, threading.Event):
            message.wait(WAIT_S_MAX)
        return message


class BadStart(Echo):
    def on_start(self) -> None:
        raise ValueError("planted")


class Troupe:
    """Two actors under a supervisor, in virtual time."""

    def __init__(self, second: type[Echo] = Echo) -> None:
        self.runtime = VirtualRuntime()
        self.reasons: list[str] = []
        self.first, self.second = Address("first"), Address("second")
        self.supervisor = Supervisor(
            [Child(self.first, Echo.start), Child(self.second, second.start)],
            self.runtime,
            RestartLimits(restarts_max=2, within_s=60),
            self.reasons.append,
        )

    def kill(self, address: Address) -> None:
        self._end(address)
        self.runtime.advance(CHECK_S)

    def _end(self, address: Address) -> None:
        ref = address._ref  # noqa: SLF001  # to wait for the very actor that dies
        assert ref is not None
        address.tell(ValueError("planted"))
        assert ref.actor_stopped.wait(WAIT_S_MAX)


@contextmanager
def troupe(second: type[Echo] = Echo) -> Iterator[Troupe]:
    made = Troupe(second)
    made.supervisor.start()
    try:
        yield made
    finally:
        made.supervisor.stop()
        pykka.ActorRegistry.stop_all(timeout=WAIT_S_MAX)


def test_after_a_death_all_are_started_anew_behind_the_same_addresses() -> None:
    with troupe() as all_:
        first_ref = all_.first._ref  # noqa: SLF001  # whether it is another one
        all_.kill(all_.second)
        assert len(all_.supervisor.dead) == 2
        all_.runtime.advance(1)
        assert len(all_.supervisor.dead) == 0
        assert all_.first._ref is not first_ref  # noqa: SLF001  # the same
        assert all_.second.ask("still there", WAIT_S_MAX) == "still there"


def test_too_many_deaths_end_the_process_with_a_reason() -> None:
    with troupe() as all_:
        for _ in range(3):
            all_.kill(all_.first)
            all_.runtime.advance(5)
        assert all_.reasons == ["first died 3 times in 60 s"]


def test_deaths_that_lie_far_apart_are_forgiven() -> None:
    with troupe() as all_:
        for _ in range(5):
            all_.kill(all_.first)
            all_.runtime.advance(61)
        assert all_.reasons == []


def test_an_actor_that_fails_at_its_start_is_found() -> None:
    with troupe(BadStart) as all_:
        ref = all_.second._ref  # noqa: SLF001  # to wait for the very actor that dies
        assert ref is not None
        assert ref.actor_stopped.wait(WAIT_S_MAX)
        assert all_.supervisor.dead == ("second",)


def test_after_the_stop_nothing_is_started_again() -> None:
    with troupe() as all_:
        all_.kill(all_.first)
        all_.supervisor.stop()
        all_.runtime.advance(60)
        assert all_.supervisor.dead == ("first", "second")


def _overfill(address: Address) -> None:
    # One of them the actor may have taken out already.
    address.tell("waits")
    address.tell("is refused")


def test_a_full_mailbox_refuses_and_stopping_works_all_the_same() -> None:
    with troupe() as all_:
        gate = threading.Event()
        all_.first.ask("handled", WAIT_S_MAX)
        all_.first.tell(gate)
        for _ in range(Echo.INBOX_MAX - 1):
            all_.first.tell("waits")
        with pytest.raises(MailboxFullError):
            _overfill(all_.first)
        ref = all_.first._ref  # noqa: SLF001  # to see it end
        assert ref is not None
        stopped = ref.stop(block=False)
        gate.set()
        assert stopped.get(timeout=WAIT_S_MAX)
        assert not all_.first.is_alive


def test_what_is_told_to_a_dead_actor_is_lost_and_a_question_is_refused() -> None:
    with troupe() as all_:
        all_.supervisor.stop()
        all_.first.tell("nobody hears it")
        with pytest.raises(GatewayUnavailableError):
            all_.first.ask("nobody answers", WAIT_S_MAX)


def test_an_address_that_leads_nowhere_yet_behaves_like_a_dead_actor() -> None:
    address = Address("nobody")
    address.tell("nobody hears it")
    address.stop(WAIT_S_MAX)
    assert not address.is_alive
    with pytest.raises(GatewayUnavailableError):
        address.ask("nobody answers", WAIT_S_MAX)
