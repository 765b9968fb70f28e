import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import gevent
import pykka
import pytest

from actors.actor import Actor, Address
from actors.errors import GatewayUnavailableError, MailboxFullError
from actors.supervisor import CHECK_S, Child, RestartLimits, Supervisor
from tests.actors.fakes import VirtualRuntime

WAIT_S_MAX = 10.0


class LeakedError(BaseException):
    """No `Exception`, and no exit."""


ERRORS = [ValueError("planted"), LeakedError("planted"), gevent.Timeout(0)]


@dataclass(frozen=True, slots=True)
class Gate:
    """Keeps who is told of it busy until it is opened."""

    opened: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True)
class Steps:
    """The same, and the actor tells that it has come one step further each time that `ordered` is set."""

    ordered: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    done: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))


class Echo(Actor):
    """Answers what it is asked, and dies of an exception that it is told."""

    INBOX_MAX = 3
    REFUSED_WHEN_FULL = (str,)

    def on_receive(self, message: object) -> object:
        match message:
            case BaseException():
                raise message
            case Gate():
                message.reached.set()
                message.opened.wait(WAIT_S_MAX)
            case Steps():
                for _ in range(2):
                    message.ordered.acquire(timeout=WAIT_S_MAX)
                    self.progressed()
                    message.done.release()
        return message


class BadStart(Echo):
    error: BaseException = ERRORS[0]

    def on_start(self) -> None:
        raise self.error


class LeakyStart(BadStart):
    error = ERRORS[1]


class TimedOutStart(BadStart):
    error = ERRORS[2]


class BadMake(Echo):
    def __init__(self) -> None:
        raise ValueError("planted")


class BadStop(Echo):
    def on_stop(self) -> None:
        raise LeakedError("planted")


class Troupe:
    """Two actors under a supervisor, in virtual time."""

    def __init__(self, second: type[Echo] = Echo) -> None:
        self.runtime = VirtualRuntime()
        self.reasons: list[str] = []
        self.first, self.second = Address("first"), Address("second")
        self.supervisor = Supervisor(
            [Child(self.first, Echo.start), Child(self.second, second.start)],
            self.runtime,
            RestartLimits(restarts_max=2, within_s=60, stop_s_max=0.1, hang_s_max=20),
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


@pytest.mark.parametrize("second", [BadStart, LeakyStart, TimedOutStart])
def test_an_actor_that_fails_at_its_start_is_found(second: type[Echo]) -> None:
    with troupe(second) as all_:
        ref = all_.second._ref  # noqa: SLF001  # to wait for the very actor that dies
        assert ref is not None
        assert ref.actor_stopped.wait(WAIT_S_MAX)
        assert all_.supervisor.dead == ("second",)


def test_an_actor_that_cannot_be_made_is_tried_again_and_ends_the_process() -> None:
    with troupe(BadMake) as all_:
        assert all_.supervisor.dead == ("second",)
        all_.runtime.advance(30)
        assert all_.reasons == ["second died 3 times in 60 s"]


@pytest.mark.parametrize("error", ERRORS)
def test_whatever_an_actor_raises_when_told_ends_it_alone_and_is_logged(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    with troupe() as all_:
        ref = all_.second._ref  # noqa: SLF001  # to wait for the very actor that dies
        assert ref is not None
        all_.second.tell(error)
        assert ref.actor_stopped.wait(WAIT_S_MAX)
        assert all_.supervisor.dead == ("second",)
        assert all_.first.ask("still there", WAIT_S_MAX) == "still there"
    assert [record.exc_info[1] for record in caplog.records if record.exc_info] == [error]


@pytest.mark.parametrize("error", ERRORS)
def test_whatever_an_actor_raises_when_asked_ends_it_alone_and_the_asker_learns_that_it_is_gone(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    with troupe() as all_:
        with pytest.raises(GatewayUnavailableError, match="second does not answer"):
            all_.second.ask(error, WAIT_S_MAX)
        assert all_.supervisor.dead == ("second",)
        assert all_.first.ask("still there", WAIT_S_MAX) == "still there"
    assert [record.exc_info[1] for record in caplog.records if record.exc_info] == [error]


def test_after_a_failed_question_all_are_started_anew() -> None:
    with troupe() as all_:
        with pytest.raises(GatewayUnavailableError):
            all_.second.ask(LeakedError("planted"), WAIT_S_MAX)
        all_.runtime.advance(1)
        assert all_.supervisor.dead == ()
        assert all_.second.ask("there again", WAIT_S_MAX) == "there again"


def test_an_actor_that_has_failed_leaves_no_other_asker_waiting() -> None:
    with troupe() as all_:
        ref = all_.second._ref  # noqa: SLF001  # to ask without waiting
        assert ref is not None
        gate = Gate()
        all_.second.tell(gate)
        all_.second.tell(ValueError("planted"))
        answer = ref.ask("behind it", block=False)
        gate.opened.set()
        with pytest.raises(pykka.ActorDeadError):
            answer.get(timeout=WAIT_S_MAX)


def test_a_timeout_that_leaked_and_fires_between_two_messages_ends_the_actor_visibly() -> None:
    actor = Echo()
    actor.actor_inbox.get = lambda: Echo.on_receive(actor, gevent.Timeout(0))  # type: ignore[method-assign]
    actor._actor_loop()  # noqa: SLF001  # what its thread runs
    assert not actor.actor_ref.is_alive()


def test_an_exit_stays_an_exit() -> None:
    actor = Echo()
    actor.actor_ref.tell(SystemExit(3))
    with pytest.raises(SystemExit):
        actor._actor_loop()  # noqa: SLF001  # what its thread runs
    assert not actor.actor_ref.is_alive()


def test_an_actor_that_is_busy_with_one_message_for_too_long_is_shown_and_then_ends_the_process() -> None:
    with troupe() as all_:
        gate = Gate()
        all_.first.tell(gate)
        assert gate.reached.wait(WAIT_S_MAX)
        shown = []
        for seconds in (9, 2):
            all_.runtime.advance(seconds)
            shown.append(all_.supervisor.dead)
        assert (shown, all_.reasons) == ([(), ("first",)], [])
        all_.runtime.advance(30)
        assert all_.reasons == ["for 20 s busy with one message: first with Gate"]
        gate.opened.set()


def test_an_actor_that_hangs_at_its_start_is_found() -> None:
    gate = Gate()

    class SlowStart(Echo):
        def on_start(self) -> None:
            gate.opened.wait(WAIT_S_MAX)

    with troupe(SlowStart) as all_:
        all_.runtime.advance(30)
        assert all_.reasons == ["for 20 s busy with one message: second with Start"]
        gate.opened.set()


def test_actors_that_wait_or_get_on_do_not_hang() -> None:
    with troupe() as all_:
        steps = Steps()
        all_.second.tell(steps)
        for _ in range(2):
            all_.runtime.advance(15)
            steps.ordered.release()
            assert steps.done.acquire(timeout=WAIT_S_MAX)
        all_.second.ask("done with it", WAIT_S_MAX)
        all_.runtime.advance(15)
        assert all_.supervisor.dead == ()
        all_.runtime.advance(60)
        assert all_.reasons == []


def test_time_in_which_the_whole_process_stood_still_does_not_count() -> None:
    with troupe() as all_:
        gate = Gate()
        all_.first.tell(gate)
        assert gate.reached.wait(WAIT_S_MAX)
        all_.runtime.time_s += 60
        all_.runtime.advance(1)
        assert (all_.reasons, all_.supervisor.dead) == ([], ())
        gate.opened.set()


def test_a_stop_tells_who_hangs_and_ends_the_others_the_dead_included() -> None:
    with troupe() as all_:
        gate = Gate()
        all_.first.tell(gate)
        assert gate.reached.wait(WAIT_S_MAX)
        with pytest.raises(GatewayUnavailableError):
            all_.second.ask(ValueError("planted"), WAIT_S_MAX)
        assert all_.supervisor.stop() == ["first"]
        gate.opened.set()


def test_an_actor_that_fails_while_it_stops_has_stopped() -> None:
    with troupe(BadStop) as all_:
        assert all_.supervisor.stop() == []


def test_a_death_beside_an_actor_that_hangs_ends_the_process() -> None:
    with troupe() as all_:
        gate = Gate()
        all_.first.tell(gate)
        assert gate.reached.wait(WAIT_S_MAX)
        all_.kill(all_.second)
        assert all_.reasons == ["second died, and first did not stop"]
        gate.opened.set()


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
        gate = Gate()
        all_.first.ask("handled", WAIT_S_MAX)
        all_.first.tell(gate)
        for _ in range(Echo.INBOX_MAX - 1):
            all_.first.tell("waits")
        with pytest.raises(MailboxFullError):
            _overfill(all_.first)
        with pytest.raises(GatewayUnavailableError):
            all_.first.ask("is refused too", WAIT_S_MAX)
        ref = all_.first._ref  # noqa: SLF001  # to see it end
        assert ref is not None
        stopped = ref.stop(block=False)
        gate.opened.set()
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
