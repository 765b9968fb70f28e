"""What operators have found out is applied by the replica that drives the payment, and answered once."""

import pytest

from actors.domain.lifecycle import State
from actors.domain.payment import Claim, EndState, Settlement
from actors.domain.resolution import Finding, Resolution, ResolutionAnswer
from actors.domain.work import Driven
from actors.errors import GatewayUnavailableError, LedgerUnavailableError
from actors.messages.router import GetDriven, Resolve
from actors.resolver import RESOLUTIONS_MAX, Resolver
from ops.simulation.resolutions import MemoryResolutions
from ops.simulation.stores import MemoryLeases, MemoryPayments
from tests.actors.adapters.postgres.storage import claim, ended
from tests.actors.fakes import NOW_MS, READING, Recorder, VirtualRuntime, payment
from tests.lines import lines

FINDING = Finding(payment(1).correlation_id, "default", NOW_MS - 5)
NOT_CHARGED = Finding(payment(1).correlation_id, None, None)


class Router(Recorder):
    """Gives one answer, and keeps what it was asked."""

    def __init__(self, answer: object) -> None:
        super().__init__({Resolve: answer, GetDriven: None})
        self.asked: list[Resolve] = []

    def ask(self, message: object, timeout_s: float) -> object:
        if isinstance(message, Resolve):
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

    def drives(self, state: State | None) -> None:
        driven = None if state is None else Driven(payment(1), state, None, 1, pinned=False)
        self.router.answers[GetDriven] = driven

    def answer(self, finding: Finding = FINDING) -> ResolutionAnswer | None:
        self.number = self.resolutions.ask(finding, "an operator", NOW_MS)
        return self.answer_again()

    def answer_again(self) -> ResolutionAnswer | None:
        self.resolver.answer_round()
        return self.resolutions.answer_to(self.number)


@pytest.mark.parametrize("answer", [ResolutionAnswer.APPLIED, ResolutionAnswer.MAY_SETTLE])
def test_the_router_decides_about_what_it_drives(answer: ResolutionAnswer, caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(answer)
    desk.drives(State.HELD)
    desk.payments.write([claim(1)], [], [])
    assert desk.answer() is answer
    assert desk.router.asked == [Resolve(Resolution(1, FINDING))]
    event = "an operator's decision on a payment is answered"
    told = lines(caplog, "correlation_id", "charged_by", "answer")
    assert told == [(event, FINDING.correlation_id, "default", answer.value)]


@pytest.mark.parametrize("state", EndState)
def test_what_had_ended_is_taken_up_again_for_it(state: EndState) -> None:
    desk = Desk(ResolutionAnswer.APPLIED)
    desk.drives(State.HELD)
    desk.payments.write([claim(1)], [], [])
    desk.payments.write([], [], [], [ended(1, state)])
    assert desk.answer() is ResolutionAnswer.APPLIED
    assert desk.router.asked == [Resolve(Resolution(1, FINDING), Claim(payment(1), "fallback", 2), state)]


def test_a_payment_that_nobody_drives_is_settled_or_not_known() -> None:
    desk = Desk()
    assert desk.answer() is ResolutionAnswer.NOT_FOUND
    desk.payments.write([], [], [Settlement(payment(1), "default", NOW_MS, 1, NOW_MS)])
    assert desk.answer() is ResolutionAnswer.SETTLED


def test_what_cannot_be_answered_now_is_answered_later() -> None:
    desk = Desk(GatewayUnavailableError("planted"))
    desk.payments.write([claim(1)], [], [])
    assert desk.answer() is None
    desk.router.answers[Resolve] = ResolutionAnswer.MAY_SETTLE
    assert desk.answer_again() is ResolutionAnswer.MAY_SETTLE


@pytest.mark.parametrize("finding", [FINDING, NOT_CHARGED])
def test_nothing_is_called_applied_before_that_is_committed(finding: Finding) -> None:
    desk = Desk(ResolutionAnswer.APPLIED)
    desk.payments.write([claim(1)], [], [])
    desk.drives(State.SETTLING if finding is FINDING else State.MOVING)
    assert [desk.answer(finding), desk.answer_again()] == [None, None]
    # The payment ends between two rounds, and so leaves the router.
    desk.drives(None)
    desk.router.answers[Resolve] = None
    booked = ("default", NOW_MS - 5) if finding is FINDING else ("fallback", NOW_MS)
    desk.payments.write([], [], [Settlement(payment(1), *booked, 1, NOW_MS)])
    assert desk.answer_again() is ResolutionAnswer.APPLIED


def test_what_ends_once_more_after_it_was_applied_is_not_taken_up_again() -> None:
    desk = Desk(ResolutionAnswer.APPLIED)
    desk.payments.write([claim(1)], [], [])
    desk.payments.write([], [], [], [ended(1, EndState.MISMATCHED)])
    desk.drives(State.MOVING)
    assert desk.answer(NOT_CHARGED) is None
    desk.drives(None)
    desk.router.answers[Resolve] = None
    desk.payments.write([], [], [], [ended(1, EndState.DECLINED)])
    assert desk.answer_again() is ResolutionAnswer.APPLIED
    assert [message.reopened is None for message in desk.router.asked] == [False, True]


def test_a_settlement_that_was_not_answered_in_time_was_applied_all_the_same() -> None:
    desk = Desk(GatewayUnavailableError("planted"))
    desk.payments.write([claim(1)], [], [])
    assert desk.answer() is None
    desk.router.answers[Resolve] = None
    desk.payments.write([], [], [Settlement(payment(1), "default", NOW_MS - 5, 1, NOW_MS)])
    assert desk.answer_again() is ResolutionAnswer.APPLIED


def test_a_payment_that_was_taken_up_again_and_that_no_router_was_told_of_is_reported() -> None:
    desk = Desk(GatewayUnavailableError("planted"))
    desk.payments.write([claim(1)], [], [])
    desk.payments.write([], [], [], [ended(1, EndState.DECLINED)])
    with pytest.raises(LedgerUnavailableError, match="taken up again"):
        desk.answer()


def test_findings_that_nobody_can_answer_now_keep_nobody_from_those_behind_them() -> None:
    desk = Desk()
    desk.payments.write([claim(1)], [], [])
    for _ in range(RESOLUTIONS_MAX):
        desk.resolutions.ask(FINDING, "an operator", NOW_MS)
    assert desk.answer(Finding(payment(2).correlation_id, None, None)) is None
    assert desk.answer_again() is ResolutionAnswer.NOT_FOUND
    desk.router.answers[Resolve] = ResolutionAnswer.MAY_SETTLE
    desk.resolver.answer_round()
    assert desk.resolutions.answer_to(1) is ResolutionAnswer.MAY_SETTLE
