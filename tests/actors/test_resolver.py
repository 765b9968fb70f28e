"""What operators have found out is applied by the replica that drives the payment, and answered once."""

import pytest

from actors.domain.payment import Claim, EndState, Settlement
from actors.domain.resolution import Finding, ResolutionAnswer
from actors.errors import GatewayUnavailableError
from actors.messages.router import Resolve
from actors.resolver import Resolver
from ops.simulation.resolutions import MemoryResolutions
from ops.simulation.stores import MemoryLeases, MemoryPayments
from tests.actors.adapters.postgres.storage import claim, ended
from tests.actors.fakes import NOW_MS, READING, Recorder, VirtualRuntime, payment

FINDING = Finding(payment(1).correlation_id, "default", NOW_MS - 5)


class Router(Recorder):
    """Gives one answer, and keeps what it was asked."""

    def __init__(self, answer: object) -> None:
        super().__init__({Resolve: answer})
        self.asked: list[object] = []

    def ask(self, message: object, timeout_s: float) -> object:
        self.asked.append(message)
        return super().ask(message, timeout_s)


class Desk:
    """A resolver over tables in memory."""

    def __init__(self, router_says: object = None) -> None:
        self.payments = MemoryPayments()
        tables, fence = self.payments.tables, self.payments.fence
        MemoryLeases(tables, fence).register(0, READING)
        self.resolutions = MemoryResolutions(tables, fence)
        self.router = Router(router_says)
        self.resolver = Resolver(
            resolutions=self.resolutions, payments=self.payments, router=self.router, runtime=VirtualRuntime()
        )

    def answer(self) -> ResolutionAnswer | None:
        number = self.resolutions.ask(FINDING, "an operator", NOW_MS)
        self.resolver.answer_all()
        return self.resolutions.answer_to(number)


@pytest.mark.parametrize("answer", [ResolutionAnswer.APPLIED, ResolutionAnswer.MAY_SETTLE])
def test_the_router_decides_about_what_it_drives(answer: ResolutionAnswer, caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(answer)
    desk.payments.write([claim(1)], [], [])
    assert desk.answer() is answer
    assert desk.router.asked == [Resolve(FINDING)]
    (logged,) = caplog.messages
    assert logged == f"an operator says that {FINDING.correlation_id} was charged by default: {answer.value}"


@pytest.mark.parametrize("state", EndState)
def test_what_had_ended_is_taken_up_again_for_it(state: EndState) -> None:
    desk = Desk(ResolutionAnswer.APPLIED)
    desk.payments.write([claim(1)], [], [])
    desk.payments.write([], [], [], [ended(1, state)])
    assert desk.answer() is ResolutionAnswer.APPLIED
    assert desk.router.asked == [Resolve(FINDING, Claim(payment(1), "fallback", 2), state)]


def test_a_payment_that_nobody_drives_is_settled_or_not_known() -> None:
    desk = Desk()
    assert desk.answer() is ResolutionAnswer.NOT_FOUND
    desk.payments.write([], [], [Settlement(payment(1), "default", NOW_MS, 1)])
    assert desk.answer() is ResolutionAnswer.SETTLED


def test_what_cannot_be_answered_now_is_answered_later() -> None:
    desk = Desk(GatewayUnavailableError("planted"))
    desk.payments.write([claim(1)], [], [])
    assert desk.answer() is None
    desk.router.answers[Resolve] = ResolutionAnswer.MAY_SETTLE
    desk.resolver.answer_all()
    assert desk.resolutions.answer_to(1) is ResolutionAnswer.MAY_SETTLE
