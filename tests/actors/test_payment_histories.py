"""The history of a payment is gathered from all replicas, and nobody waits long for those that do not answer."""

from uuid import UUID

import pytest

from actors.domain.history_questions import ToldHistory, ToldStep
from actors.errors import GatewayUnavailableError
from actors.messages.gossip import AskHistory, GetHistories
from actors.messages.lease import GetLivingCount
from actors.messages.router import GetHistory
from actors.payment_histories import ANSWERS_S_MAX, STEP_S, PaymentHistories
from tests.actors.fakes import Recorder, VirtualRuntime

ONE = UUID(int=1)
OWN = ToldHistory("1", (ToldStep(5, "sent", "default"),), None)
OTHER = ToldHistory("2", (), None)


def gathered(
    told: tuple[ToldHistory, ...], *, living: int, number: int | None = 1
) -> tuple[tuple[ToldHistory, ...], float]:
    """Ask with so many living replicas, of which some have told; gives the histories and how long that took."""
    runtime = VirtualRuntime()
    began_s = runtime.now_s()
    router, lease = Recorder({GetHistory: OWN}), Recorder({GetLivingCount: living})
    histories = PaymentHistories(router, Recorder({AskHistory: number, GetHistories: told}), lease, runtime)
    return histories.ask(ONE), runtime.now_s() - began_s


def test_a_replica_alone_tells_at_once() -> None:
    assert gathered((), living=1) == ((OWN,), 0)


def test_the_others_are_waited_for_until_all_have_told() -> None:
    assert gathered((OTHER,), living=2) == ((OWN, OTHER), 0)
    histories, took_s = gathered((OTHER,), living=3)
    assert histories == (OWN, OTHER)
    assert ANSWERS_S_MAX <= took_s <= ANSWERS_S_MAX + STEP_S


def test_too_many_questions_at_once_are_refused() -> None:
    with pytest.raises(GatewayUnavailableError, match="too many payments"):
        gathered((), living=2, number=None)
