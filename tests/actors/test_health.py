from actors.domain.messages import HealthReported
from actors.health import POLL_S, READ_S, HealthActor
from actors.ports import ProcessorHealth
from tests.actors.fakes import NOW_MS, MemoryBoard, Recorder, ScriptedProbe, VirtualRuntime, deliver


class Fleet:
    """Some health actors that are not started and share one board, as replicas do."""

    def __init__(self, replicas: int) -> None:
        self.runtime = VirtualRuntime()
        self.board, self.probe = MemoryBoard(self.runtime.now_s), ScriptedProbe()
        self.processors = [Recorder() for _ in range(replicas)]
        self.actors = [
            HealthActor(processors={"default": processor}, board=self.board, probe=self.probe, runtime=self.runtime)
            for processor in self.processors
        ]
        for actor in self.actors:
            actor.on_start()

    def advance(self, seconds: float) -> None:
        for _ in range(round(seconds / READ_S)):
            self.runtime.advance(READ_S)
            for actor in self.actors:
                deliver(actor)


def answer(asked_at_ms: int = NOW_MS, *, failing: bool = True) -> ProcessorHealth:
    return ProcessorHealth("default", failing, 100, asked_at_ms)


def test_a_processor_is_asked_once_in_its_period_over_all_replicas() -> None:
    fleet = Fleet(replicas=3)
    fleet.advance(3 * POLL_S)
    assert fleet.probe.asked == ["default"] * 3


def test_one_answer_reaches_every_replica_once() -> None:
    fleet = Fleet(replicas=3)
    fleet.probe.answers["default"] = answer()
    fleet.advance(POLL_S - READ_S)
    expected = [HealthReported("default", failing=True, response_time_ms_min=100)]
    assert [processor.messages for processor in fleet.processors] == [expected] * 3


def test_without_redis_nobody_asks_and_it_begins_again_when_redis_is_back() -> None:
    fleet = Fleet(replicas=2)
    fleet.board.gone = True
    fleet.advance(POLL_S)
    assert fleet.probe.asked == []
    fleet.board.gone = False
    fleet.advance(READ_S)
    assert fleet.probe.asked == ["default"]


def test_an_evicted_answer_is_simply_not_there() -> None:
    fleet = Fleet(replicas=1)
    fleet.probe.answers["default"] = answer()
    fleet.advance(READ_S)
    fleet.board.healths.clear()
    fleet.advance(READ_S)
    assert len(fleet.processors[0].messages) == 1
