"""An actor handles what waits in its mailbox in slices, and does what follows once per slice."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pykka
import pytest

from actors.actor import Actor, Address, Drained
from actors.errors import GatewayUnavailableError

ROOT = Path(__file__).parent.parent.parent
WAIT_S_MAX = 10.0
DRAINED = "drained"


class Notebook(Actor):
    """Writes down what it handles. An event makes it wait, at once or in `on_drained`."""

    SLICE_S_MAX = 60.0

    def __init__(self, made: Callable[["Notebook"], None] = lambda _: None) -> None:
        super().__init__()
        made(self)
        self.notes: list[object] = []
        self.on_drained_does: object = None
        self.reached = threading.Event()

    def on_receive(self, message: object) -> object:
        match message:
            case threading.Event():
                self._wait(message)
            case ("next time, in on_drained", task):
                self.on_drained_does = task
            case _:
                self.notes.append(message)
        return message

    def on_drained(self) -> None:
        self.notes.append(DRAINED)
        task, self.on_drained_does = self.on_drained_does, None
        match task:
            case threading.Event():
                self._wait(task)
            case Exception():
                raise task
            case str():
                self.tell_self(task)

    def _wait(self, event: threading.Event) -> None:
        self.reached.set()
        assert event.wait(WAIT_S_MAX)


class ShortSlices(Notebook):
    SLICE_S_MAX = 0.0


@pytest.fixture(autouse=True)
def no_actor_outlives_its_test() -> Iterator[None]:
    yield
    pykka.ActorRegistry.stop_all(timeout=WAIT_S_MAX)


def start(actor_class: type[Notebook]) -> tuple[Notebook, Address]:
    made: list[Notebook] = []
    address = Address("notebook")
    actor_class.start(made.append)
    address.bind(made[0])
    return made[0], address


def keep_busy(actor: Notebook, address: Address) -> threading.Event:
    """Return the event that lets the actor go on."""
    event = threading.Event()
    address.tell(event)
    assert actor.reached.wait(WAIT_S_MAX)
    return event


def notes_after_stop(actor: Notebook, event: threading.Event) -> list[object]:
    """Let the actor go on and stop it behind all that waits."""
    stopped = actor.actor_ref.stop(block=False)
    event.set()
    assert stopped.get(timeout=WAIT_S_MAX)
    return actor.notes


def test_all_that_waits_is_one_slice_with_one_end() -> None:
    actor, address = start(Notebook)
    event = keep_busy(actor, address)
    for number in range(3):
        address.tell(number)
    assert notes_after_stop(actor, event) == [0, 1, 2, DRAINED]


def test_a_slice_that_has_lasted_long_enough_ends_before_the_next_message() -> None:
    actor, address = start(ShortSlices)
    event = keep_busy(actor, address)
    for number in range(3):
        address.tell(number)
    assert notes_after_stop(actor, event) == [DRAINED, 0, DRAINED, 1, DRAINED, 2, DRAINED]


def test_a_stop_without_a_message_before_it_ends_no_slice() -> None:
    actor, _ = start(Notebook)
    assert notes_after_stop(actor, threading.Event()) == []


def test_a_question_is_answered_before_the_slice_ends() -> None:
    actor, address = start(Notebook)
    event = threading.Event()
    address.tell(("next time, in on_drained", event))
    assert address.ask("question", WAIT_S_MAX) == "question"
    assert actor.reached.wait(WAIT_S_MAX)
    assert notes_after_stop(actor, event)[-1] == DRAINED


def test_an_actor_that_hangs_at_the_end_of_a_slice_is_busy_with_that() -> None:
    actor, address = start(Notebook)
    event = threading.Event()
    address.tell(("next time, in on_drained", event))
    assert actor.reached.wait(WAIT_S_MAX)
    for _ in range(3):
        address.check_busy()
    assert (type(address.busy_with), address.busy_checks) == (Drained, 3)
    event.set()


def test_an_error_at_the_end_of_a_slice_ends_the_actor(caplog: pytest.LogCaptureFixture) -> None:
    actor, address = start(Notebook)
    error = ValueError("planted")
    address.tell(("next time, in on_drained", error))
    assert actor.actor_stopped.wait(WAIT_S_MAX)
    with pytest.raises(GatewayUnavailableError):
        address.ask("question", WAIT_S_MAX)
    assert [record.exc_info[1] for record in caplog.records if record.exc_info] == [error]


def test_an_error_at_the_end_of_the_last_slice_leaves_nobody_waiting_for_the_stop() -> None:
    actor, address = start(Notebook)
    event = keep_busy(actor, address)
    address.tell(("next time, in on_drained", ValueError("planted")))
    stopped = actor.actor_ref.stop(block=False)
    event.set()
    assert not stopped.get(timeout=WAIT_S_MAX)
    assert not address.is_alive


def test_an_actor_that_is_not_started_handles_all_that_waits_when_told_to() -> None:
    actor = Notebook()
    actor.handle_waiting()
    assert actor.notes == []
    actor.actor_ref.tell("first")
    answer = actor.actor_ref.ask("second", block=False)
    actor.handle_waiting()
    assert actor.notes == ["first", "second", DRAINED]
    assert answer.get(timeout=0) == "second"


def test_what_an_actor_tells_itself_at_the_end_of_a_slice_is_handled_in_the_next() -> None:
    actor = Notebook()
    actor.actor_ref.tell(("next time, in on_drained", "told itself"))
    actor.handle_waiting()
    assert actor.notes == [DRAINED]
    actor.handle_waiting()
    assert actor.notes == [DRAINED, "told itself", DRAINED]


TURNS = """
from gevent import monkey
monkey.patch_all()
import gevent
from actors.actor import Actor

turns = []

class ShortSlices(Actor):
    SLICE_S_MAX = 0.0

    def on_receive(self, message):
        turns.append(message)

def other():
    while True:
        turns.append("other")
        gevent.sleep(0)

ref = ShortSlices.start()
for number in range(3):
    ref.tell(number)
gevent.spawn(other)
ref.stop()
assert [turn for turn in turns if turn != "other"] == [0, 1, 2], turns
assert all("other" in turns[turns.index(number) : turns.index(number + 1)] for number in range(2)), turns
"""


def test_other_greenlets_get_their_turn_between_two_slices() -> None:
    subprocess.run(  # noqa: S603  # the interpreter that runs this test; gevent must patch before all else
        [sys.executable, "-c", TURNS], check=True, timeout=60, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
