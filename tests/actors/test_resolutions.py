"""An operator who has found out what became of a payment waits for the replica that drives it."""

from uuid import UUID

import pytest

from actors.domain.resolution import Finding, ResolutionAnswer
from actors.errors import GatewayUnavailableError
from actors.resolutions import ANSWER_S_MAX, Resolutions
from ops.simulation.resolutions import MemoryResolutions
from ops.simulation.tables import MemoryFence, MemoryTables
from tests.actors.fakes import VirtualRuntime

FINDING = Finding(UUID(int=1), "default", 1_750_000_000_000)


class Bench:
    """Findings that a test answers in the place of the replica."""

    def __init__(self) -> None:
        self.runtime = VirtualRuntime()
        self.began_s = self.runtime.now_s()
        self.store = MemoryResolutions(MemoryTables(), MemoryFence("1"))
        self.resolutions = Resolutions(self.store, self.runtime)

    def answer_after(self, delay_s: float, answer: ResolutionAnswer) -> None:
        self.runtime.call_later(delay_s, self.store.answer, 1, answer, 0)


@pytest.mark.parametrize("answer", ResolutionAnswer)
def test_the_answer_of_the_replica_is_told_as_soon_as_it_is_there(answer: ResolutionAnswer) -> None:
    bench = Bench()
    bench.answer_after(2.0, answer)
    assert bench.resolutions.resolve(FINDING, "127.0.0.1") is answer
    assert bench.runtime.now_s() - bench.began_s == pytest.approx(2.0, abs=0.11)


def test_a_finding_that_no_replica_answers_in_time_is_kept_and_answered_later() -> None:
    bench = Bench()
    with pytest.raises(GatewayUnavailableError, match="resolution 1 is stored"):
        bench.resolutions.resolve(FINDING, "127.0.0.1")
    assert bench.runtime.now_s() - bench.began_s == pytest.approx(ANSWER_S_MAX, abs=0.11)
    assert [each.finding for each in bench.store.unanswered(10)] == [FINDING]
