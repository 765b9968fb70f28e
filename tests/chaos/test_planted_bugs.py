"""The detector finds bugs: each is planted from outside, in a port or in a message on its way."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from math import inf

import pytest

from actors.domain.batching import BatchLimits
from actors.domain.outcome import Outcome
from actors.domain.payment import Claim, Closing, Mark, Move, Payment, Settlement
from actors.domain.records import LedgerSummary, LookUpAnswer, Watermarks, WriteResult
from actors.domain.wall_clock import PeerClock, WallClock
from actors.errors import LedgerUnavailableError
from actors.messages.intake import Accept, AcceptAnswer, Recorded, Want
from actors.messages.persistence import Write
from actors.messages.processor import LeaseRenewed
from actors.messages.router import Adopt, EndAdoption
from actors.ports import PaymentStore, ProcessorClient
from actors.system import Parts
from ops.simulation.clock import SimulatedRuntime
from ops.simulation.replica import SimulatedReplica
from tests.chaos.late_rows import read_a_row_before_its_payment_moves_and_tell_it_after_the_settlement
from tests.chaos.model import WINDOW_MAX
from tests.chaos.planting import (
    PassedPayments,
    find_by_one_order,
    find_by_search,
    with_changed_messages,
    with_changed_parts,
    with_outcome,
)
from tests.chaos.summaries import ask_while_a_charge_is_under_way
from tests.chaos.test_model import Gateway
from tests.chaos.wrong_clocks import join_three_seconds_behind, jump_and_return


def answer_too_early(message: object, _: SimulatedReplica) -> object:
    """202 before the journal's write."""
    if isinstance(message, Accept):
        message.reply(AcceptAnswer.ACCEPTED)
        return replace(message, reply=lambda _: None)
    return message


def forget_too_early(message: object, replica: SimulatedReplica) -> object:
    """Let the journal delete what Postgres does not have yet."""
    if isinstance(message, Write):
        replica.system.intake.tell(Recorded(tuple(claim.payment.correlation_id for claim in message.claims)))
    return message


def take_already_charged_for_charged_now(message: object, _: SimulatedReplica) -> object:
    """Record the stamp of the last attempt, though an earlier one was booked."""
    return with_outcome(message, Outcome.ALREADY_CHARGED, Outcome.SETTLED)


def want_too_much(message: object, _: SimulatedReplica) -> object:
    """Ask the journal for more than there is room for."""
    return Want(message.payments + WINDOW_MAX) if isinstance(message, Want) else message


def send_without_lease(message: object, _: SimulatedReplica) -> object:
    """Go on after others have taken over."""
    return LeaseRenewed(inf) if isinstance(message, LeaseRenewed) else message


def forget_what_has_ended(message: object, replica: SimulatedReplica) -> object:
    """Take up rows whose payments have ended since they were read."""
    if isinstance(message, Adopt):
        replica.system.router.tell(EndAdoption())
    return message


class LosingPayments(PassedPayments):
    """A store that drops a batch that failed, as after a deadlock."""

    def __init__(self, payments: PaymentStore) -> None:
        super().__init__(payments)
        self.write = self._write_or_drop

    def _write_or_drop(
        self,
        claims: Sequence[Claim],
        moves: Sequence[Move],
        settlements: Sequence[Settlement],
        closings: Sequence[Closing] = (),
        marks: Sequence[Mark] = (),
    ) -> WriteResult:
        try:
            return self._payments.write(claims, moves, settlements, closings, marks)
        except LedgerUnavailableError:
            moved = tuple(move.correlation_id for move in moves)
            return WriteResult(tuple(claim.payment.correlation_id for claim in claims), (), moved)


class WaitingPayments(PassedPayments):
    """A store whose summaries wait for what is under way and count it, also where the window has ended."""

    def __init__(self, payments: PaymentStore) -> None:
        super().__init__(payments)
        self.watermarks, self.summary = self._stamps, self._whole

    def _stamps(self) -> Watermarks:
        stamp_ms = self._payments.watermarks().stamp_ms
        return Watermarks(stamp_ms, stamp_ms)

    def _whole(self, from_ms: int | None, to_ms: int | None, answered_by_ms: int | None = None) -> LedgerSummary:
        del answered_by_ms
        return self._payments.summary(from_ms, to_ms)


class ForgetfulPayments(PassedPayments):
    """A store whose summaries do not tell that something was left out."""

    def __init__(self, payments: PaymentStore) -> None:
        super().__init__(payments)
        self.summary = self._forgetful

    def _forgetful(self, from_ms: int | None, to_ms: int | None, answered_by_ms: int | None = None) -> LedgerSummary:
        return replace(self._payments.summary(from_ms, to_ms, answered_by_ms), left_out=0)


class LaterStampingClient:
    """A way to a processor that sends another instant than the one that is recorded."""

    def __init__(self, client: ProcessorClient) -> None:
        self._client = client

    def charge(self, payment: Payment, requested_at_ms: int) -> Outcome:
        return self._client.charge(payment, requested_at_ms + 1)

    def look_up(self, payment: Payment) -> LookUpAnswer:
        return self._client.look_up(payment)

    def knock(self) -> bool:
        return self._client.knock()

    def answers_health(self) -> bool:
        return self._client.answers_health()

    def close(self) -> None:
        self._client.close()


class BlindClock(WallClock):
    """A clock that follows the system's whatever it shows, though never backwards, and heeds no other replica."""

    def sample(self, system_ms: float, now_s: float) -> None:
        self._offset_ms = system_ms - now_s * 1000

    def compare(self, peers: Iterable[PeerClock], now_s: float) -> None:
        pass

    def join(self, published_ms: int) -> None:
        pass


def follow_the_system_blindly(parts: Parts) -> Parts:
    runtime = parts.runtime
    assert isinstance(runtime, SimulatedRuntime)
    runtime.clock = BlindClock(runtime.now_ms(), runtime.now_s())
    return parts


def lose_batches(parts: Parts) -> Parts:
    return replace(parts, payments=LosingPayments(parts.payments))


def wait_and_count(parts: Parts) -> Parts:
    return replace(parts, payments=WaitingPayments(parts.payments))


def forget_what_was_left_out(parts: Parts) -> Parts:
    return replace(parts, payments=ForgetfulPayments(parts.payments))


def stamp_anew(parts: Parts) -> Parts:
    return replace(parts, clients={name: LaterStampingClient(client) for name, client in parts.clients.items()})


@pytest.mark.parametrize(
    ("gateway", "promise", "seed_of_search"),
    [
        pytest.param(gateway, promise, seed_of_search, id=name)
        for name, gateway, promise, seed_of_search in (
            ("answers too early", with_changed_messages(answer_too_early), "not durable|not settled", 1),
            ("forgets too early", with_changed_messages(forget_too_early), "not durable|not settled", 1),
            (
                "loses batches",
                with_changed_parts(lose_batches),
                "not durable|not settled|not as booked|final too early",
                1,
            ),
            ("stamps anew", with_changed_parts(stamp_anew), "not as booked|final too early", 1),
            ("wants too much", with_changed_messages(want_too_much), "no more than it was asked for", 2),
        )
    ],
)
def test_a_planted_bug_is_found(gateway: type[Gateway], promise: str, seed_of_search: int) -> None:
    find_by_search(gateway, promise, seed_of_search)


def sleep_through_an_adoption(gateway: Gateway) -> None:
    """Let a replica stand still with a charge under way until others have settled it elsewhere, and go on."""
    gateway.start()
    gateway.run_freely(1.0)
    gateway.post(0, 100, again=False)
    replica = gateway.model.replicas["1"]
    for index in range(1000):
        if replica.runtime.under_way:
            break
        gateway.pass_time(0.01)
        gateway.handle_messages(index, 1)
    gateway.stall_or_go_on("1")
    gateway.behave("default", "fail")
    gateway.run_freely(40.0)
    assert len(gateway.model.tables.settlements) == 1
    gateway.behave("default", "ok")
    gateway.stall_or_go_on("1")
    gateway.end_a_call(0)
    gateway.no_payment_is_charged_twice()


def charge_again_after_a_dropped_answer(gateway: Gateway) -> None:
    """Let a processor drop the answer to one charge while its breaker stays closed, so that it is charged once more."""
    gateway.start()
    gateway.run_freely(1.0)
    for amount_minor in range(1, 21):
        gateway.post(0, amount_minor, again=False)
        gateway.run_freely(0.05)
    gateway.behave("default", "drop")
    gateway.post(0, 100, again=False)
    gateway.run_freely(BatchLimits().spacing_s_max + 0.05)  # Until it is sent.
    gateway.behave("default", "ok")
    gateway.teardown()


@pytest.mark.parametrize(
    ("gateway", "order", "promise"),
    [
        (with_changed_messages(send_without_lease), sleep_through_an_adoption, "charged twice"),
        (
            with_changed_messages(take_already_charged_for_charged_now),
            charge_again_after_a_dropped_answer,
            "not as booked",
        ),
        (
            with_changed_messages(forget_what_has_ended),
            read_a_row_before_its_payment_moves_and_tell_it_after_the_settlement,
            "charged twice",
        ),
        (with_changed_parts(follow_the_system_blindly), jump_and_return, "final too early"),
        (with_changed_parts(follow_the_system_blindly), join_three_seconds_behind, "final too early"),
        (with_changed_parts(wait_and_count), ask_while_a_charge_is_under_way, "not booked yet|final too early"),
        (with_changed_parts(forget_what_was_left_out), ask_while_a_charge_is_under_way, "final too early"),
    ],
    ids=[
        "sends without lease",
        "takes already charged for charged now",
        "forgets what has ended while rows are read",
        "follows the system's clock blindly",
        "joins whatever its clock shows",
        "waits and counts",
        "forgets what was left out",
    ],
)
def test_a_planted_bug_is_found_by_one_order_of_events(
    gateway: type[Gateway], order: Callable[[Gateway], None], promise: str
) -> None:
    """A search finds that order too seldom."""
    find_by_one_order(gateway, order, promise)
