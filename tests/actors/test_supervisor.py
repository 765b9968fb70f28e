import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import gevent
import pykka
import pytest

from actors.actor import Actor, Address
from actors.errors import GatewayUnavailableError, MailboxFullError
from actors.supervisor import CHECK_S, WAIT_S, Child, RestartLimits, Supervisor
from tests.actors.fakes import VirtualRuntime

WAIT_S_MAX = 10.0


class LeakedError(BaseException):
    """An error that is neither an `Exception` nor meant to end the process."""


ERRORS = [ValueError("planted"), LeakedError("planted"), gevent.Timeout(0)]


@dataclass(frozen=True, slots=True)
class Gate:
    """Keeps the actor that receives it busy until it is opened."""

    opened: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True)
class Steps:
    """Keeps the actor that receives it busy with two steps. Each begins with `ordered` and ends with `done`."""

    ordered: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    done: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))


class Echo(Actor):
    """Answers a question with the question, and raises an exception that it receives."""

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


class SupervisedPair:
    """Two actors under a supervisor, in virtual time."""

    def __init__(self, second: type[Echo] = Echo) -> None:
        self.runtime = VirtualRuntime()
        self.reasons: list[str] = []
        self.asked = 0
        """How often it was asked whether the actors may start."""
        self.refusals = 0
        """How often the answer is no, at first."""
        self.first, self.second = Address("first"), Address("second")
        self.supervisor = Supervisor(
            [Child(self.first, Echo), Child(self.second, second)],
            self.runtime,
            RestartLimits(restarts_max=2, within_s=60, stop_s_max=0.1, hang_s_max=20),
            self.reasons.append,
            self.may_start,
        )

    def may_start(self) -> bool:
        self.asked += 1
        return self.asked > self.refusals

    def advance(self, seconds: float) -> None:
        """Let time pass, with all checks that are due in it."""
        end_s = self.runtime.time_s + seconds
        while due_s := [timer[0] for timer in self.runtime.timers if timer[0] <= end_s]:
            self.runtime.advance(max(0.0, min(due_s) - self.runtime.time_s))
            self.runtime.run_spawned()
        self.runtime.advance(end_s - self.runtime.time_s)

    def kill(self, address: Address) -> None:
        self._end(address)
        self.advance(CHECK_S)

    def _end(self, address: Address) -> None:
        ref = address._ref  # noqa: SLF001  # to wait for the very actor that dies
        assert ref is not None
        address.tell(ValueError("planted"))
        assert ref.actor_stopped.wait(WAIT_S_MAX)


@contextmanager
def supervised_pair(second: type[Echo] = Echo) -> Iterator[SupervisedPair]:
    made = SupervisedPair(second)
    made.supervisor.start()
    try:
        yield made
    finally:
        made.supervisor.stop()
        pykka.ActorRegistry.stop_all(timeout=WAIT_S_MAX)


def test_the_actors_are_made_at_the_start_and_not_before() -> None:
    pair = SupervisedPair()
    assert pair.supervisor.dead == ("first", "second")
    with supervised_pair() as started:
        assert started.supervisor.dead == ()


def test_the_actors_start_as_soon_as_they_may() -> None:
    pair = SupervisedPair()
    pair.refusals = 40
    began_s = pair.runtime.now_s()
    try:
        pair.supervisor.start()
        assert (pair.supervisor.dead, pair.runtime.now_s() - began_s) == ((), 40 * WAIT_S)
    finally:
        pair.supervisor.stop()


def test_actors_that_died_are_started_anew_as_soon_as_they_may_which_is_no_failure() -> None:
    with supervised_pair() as pair:
        pair.refusals = 100_000
        pair.kill(pair.first)
        pair.runtime.call_later(3600.0, lambda: setattr(pair, "refusals", 0))
        pair.advance(1)
        assert (pair.supervisor.dead, pair.reasons) == ((), [])


def test_what_is_stopped_while_it_waits_does_not_start() -> None:
    pair = SupervisedPair()
    pair.refusals = 100_000
    pair.runtime.call_later(10.0, pair.supervisor.stop)
    pair.supervisor.start()
    assert pair.supervisor.dead == ("first", "second")
    assert pair.asked <= 10.0 / WAIT_S + 2


def test_an_actor_handles_when_it_is_launched_what_it_was_sent_before() -> None:
    actor = Echo()
    answer = actor.actor_ref.ask("early", block=False)
    assert pykka.ActorRegistry.get_all() == []
    ref = actor.launch()
    try:
        assert answer.get(timeout=WAIT_S_MAX) == "early"
        assert pykka.ActorRegistry.get_all() == [ref]
    finally:
        ref.stop(timeout=WAIT_S_MAX)


def test_checks_and_restarts_which_wait_for_actors_run_beside_the_timers() -> None:
    with supervised_pair() as pair:
        pair.runtime.advance(CHECK_S)
        assert [function for function, _ in pair.runtime.spawned] == [pair.supervisor.check]
        pair.runtime.run_spawned()
        pair.kill(pair.second)
        pair.runtime.advance(1)
        assert [function for function, _ in pair.runtime.spawned] == [pair.supervisor.start]


def test_after_a_death_all_are_started_anew_behind_the_same_addresses() -> None:
    with supervised_pair() as pair:
        first_ref = pair.first._ref  # noqa: SLF001  # whether it is another one
        pair.kill(pair.second)
        assert len(pair.supervisor.dead) == 2
        pair.advance(1)
        assert len(pair.supervisor.dead) == 0
        assert pair.first._ref is not first_ref  # noqa: SLF001  # whether it is another one
        assert pair.supervisor.restarts == 1
        assert pair.second.ask("still there", WAIT_S_MAX) == "still there"


def test_too_many_deaths_end_the_process_with_a_reason() -> None:
    with supervised_pair() as pair:
        for _ in range(3):
            pair.kill(pair.first)
            pair.advance(5)
        assert pair.reasons == ["first died 3 times in 60 s"]


def test_deaths_that_lie_far_apart_are_forgiven() -> None:
    with supervised_pair() as pair:
        for _ in range(5):
            pair.kill(pair.first)
            pair.advance(61)
        assert pair.reasons == []


@pytest.mark.parametrize("second", [BadStart, LeakyStart, TimedOutStart])
def test_an_actor_that_fails_at_its_start_is_found(second: type[Echo]) -> None:
    with supervised_pair(second) as pair:
        ref = pair.second._ref  # noqa: SLF001  # to wait for the very actor that dies
        assert ref is not None
        assert ref.actor_stopped.wait(WAIT_S_MAX)
        assert pair.supervisor.dead == ("second",)


def test_an_actor_that_cannot_be_made_is_tried_again_and_ends_the_process() -> None:
    with supervised_pair(BadMake) as pair:
        assert pair.supervisor.dead == ("second",)
        pair.advance(30)
        assert pair.reasons == ["second died 3 times in 60 s"]


@pytest.mark.parametrize("error", ERRORS)
def test_whatever_an_actor_raises_when_told_ends_it_alone_and_is_logged(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    with supervised_pair() as pair:
        ref = pair.second._ref  # noqa: SLF001  # to wait for the very actor that dies
        assert ref is not None
        pair.second.tell(error)
        assert ref.actor_stopped.wait(WAIT_S_MAX)
        assert pair.supervisor.dead == ("second",)
        assert pair.first.ask("still there", WAIT_S_MAX) == "still there"
    assert [record.exc_info[1] for record in caplog.records if record.exc_info] == [error]


@pytest.mark.parametrize("error", ERRORS)
def test_whatever_an_actor_raises_when_asked_ends_it_alone_and_the_asker_learns_that_it_is_gone(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    with supervised_pair() as pair:
        with pytest.raises(GatewayUnavailableError, match="second does not answer"):
            pair.second.ask(error, WAIT_S_MAX)
        assert pair.supervisor.dead == ("second",)
        assert pair.first.ask("still there", WAIT_S_MAX) == "still there"
    assert [record.exc_info[1] for record in caplog.records if record.exc_info] == [error]


def test_after_a_failed_question_all_are_started_anew() -> None:
    with supervised_pair() as pair:
        with pytest.raises(GatewayUnavailableError):
            pair.second.ask(LeakedError("planted"), WAIT_S_MAX)
        pair.advance(1)
        assert pair.supervisor.dead == ()
        assert pair.second.ask("there again", WAIT_S_MAX) == "there again"


def test_an_actor_that_has_failed_leaves_no_other_asker_waiting() -> None:
    with supervised_pair() as pair:
        ref = pair.second._ref  # noqa: SLF001  # to ask without waiting
        assert ref is not None
        gate = Gate()
        pair.second.tell(gate)
        pair.second.tell(ValueError("planted"))
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
    with supervised_pair() as pair:
        gate = Gate()
        pair.first.tell(gate)
        assert gate.reached.wait(WAIT_S_MAX)
        shown = []
        for seconds in (9, 2):
            pair.advance(seconds)
            shown.append(pair.supervisor.dead)
        assert (shown, pair.reasons) == ([(), ("first",)], [])
        pair.advance(30)
        assert pair.reasons == ["for 20 s busy with one message: first with Gate"]
        gate.opened.set()


def test_an_actor_that_hangs_at_its_start_is_found() -> None:
    gate = Gate()

    class SlowStart(Echo):
        def on_start(self) -> None:
            gate.opened.wait(WAIT_S_MAX)

    with supervised_pair(SlowStart) as pair:
        pair.advance(30)
        assert pair.reasons == ["for 20 s busy with one message: second with Start"]
        gate.opened.set()


def test_actors_that_wait_or_get_on_do_not_hang() -> None:
    with supervised_pair() as pair:
        steps = Steps()
        pair.second.tell(steps)
        for _ in range(2):
            pair.advance(15)
            steps.ordered.release()
            assert steps.done.acquire(timeout=WAIT_S_MAX)
        pair.second.ask("done with it", WAIT_S_MAX)
        pair.advance(15)
        assert pair.supervisor.dead == ()
        pair.advance(60)
        assert pair.reasons == []


def test_time_in_which_the_whole_process_stood_still_does_not_count() -> None:
    with supervised_pair() as pair:
        gate = Gate()
        pair.first.tell(gate)
        assert gate.reached.wait(WAIT_S_MAX)
        pair.runtime.time_s += 60
        pair.advance(1)
        assert (pair.reasons, pair.supervisor.dead) == ([], ())
        gate.opened.set()


def test_a_stop_names_the_actors_that_hang_and_ends_the_others() -> None:
    with supervised_pair() as pair:
        gate = Gate()
        pair.first.tell(gate)
        assert gate.reached.wait(WAIT_S_MAX)
        with pytest.raises(GatewayUnavailableError):
            pair.second.ask(ValueError("planted"), WAIT_S_MAX)
        assert pair.supervisor.stop() == ["first"]
        gate.opened.set()


def test_an_actor_that_fails_while_it_stops_has_stopped() -> None:
    with supervised_pair(BadStop) as pair:
        assert pair.supervisor.stop() == []


def test_a_death_beside_an_actor_that_hangs_ends_the_process() -> None:
    with supervised_pair() as pair:
        gate = Gate()
        pair.first.tell(gate)
        assert gate.reached.wait(WAIT_S_MAX)
        pair.kill(pair.second)
        assert pair.reasons == ["second died, and first did not stop"]
        gate.opened.set()


def test_after_the_stop_nothing_is_started_again() -> None:
    with supervised_pair() as pair:
        pair.kill(pair.first)
        pair.supervisor.stop()
        pair.advance(60)
        assert pair.supervisor.dead == ("first", "second")


def test_a_stop_while_the_actors_start_leaves_none_behind() -> None:
    stops: list[gevent.Greenlet[[], list[str]]] = []

    def make() -> Actor:
        stops.append(gevent.spawn(supervisor.stop))
        gevent.sleep(0)  # It stops the actors while the first of them is being made.
        return Echo()

    first, second = Address("first"), Address("second")
    runtime = VirtualRuntime()
    supervisor = Supervisor([Child(first, make), Child(second, make)], runtime, RestartLimits(), lambda _: None)
    supervisor.start()
    assert [each.get(timeout=WAIT_S_MAX) for each in stops] == [[]]
    assert (first.is_alive, second.is_alive, runtime.timers) == (False, False, [])


def _overfill(address: Address) -> None:
    # One of them the actor may have taken out already.
    address.tell("waits")
    address.tell("is refused")


def test_a_full_mailbox_refuses_and_stopping_works_all_the_same() -> None:
    with supervised_pair() as pair:
        gate = Gate()
        pair.first.ask("handled", WAIT_S_MAX)
        pair.first.tell(gate)
        for _ in range(Echo.INBOX_MAX - 1):
            pair.first.tell("waits")
        with pytest.raises(MailboxFullError):
            _overfill(pair.first)
        with pytest.raises(GatewayUnavailableError):
            pair.first.ask("is refused too", WAIT_S_MAX)
        ref = pair.first._ref  # noqa: SLF001  # to see it end
        assert ref is not None
        stopped = ref.stop(block=False)
        gate.opened.set()
        assert stopped.get(timeout=WAIT_S_MAX)
        assert not pair.first.is_alive


def test_a_message_to_a_dead_actor_is_lost_and_a_question_is_refused() -> None:
    with supervised_pair() as pair:
        pair.supervisor.stop()
        pair.first.tell("nobody hears it")
        with pytest.raises(GatewayUnavailableError):
            pair.first.ask("nobody answers", WAIT_S_MAX)


def test_an_address_that_leads_nowhere_yet_behaves_like_a_dead_actor() -> None:
    address = Address("nobody")
    address.tell("nobody hears it")
    address.stop(WAIT_S_MAX)
    assert not address.is_alive
    with pytest.raises(GatewayUnavailableError):
        address.ask("nobody answers", WAIT_S_MAX)
