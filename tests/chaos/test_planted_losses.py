"""The detector finds bugs in what is done about processors that lie or stay away, and about a Postgres that forgets."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from actors.domain.outcome import Outcome
from actors.domain.payment import Claim, Closing, Mark, Move, Settlement
from actors.domain.records import LookUpResult, WriteResult
from actors.messages.persistence import Write
from actors.messages.router import DecisionDue, LookUpsEnded, StoreChanged
from actors.system import Parts
from ops.simulation.replica import SimulatedReplica
from ops.simulation.stores import MemoryLeases, MemoryPayments
from tests.chaos import losses
from tests.chaos.planting import (
    PassedPayments,
    find_by_one_order,
    with_changed_messages,
    with_changed_parts,
    with_outcome,
)
from tests.chaos.test_model import Gateway


def take_an_unknown_end_for_a_refusal(message: object, _: SimulatedReplica) -> object:
    """Let a payment go elsewhere without asking its processor, though that has answered 503 to it."""
    return with_outcome(message, Outcome.UNKNOWN, Outcome.REFUSED)


def take_an_unknown_end_for_a_failure(message: object, _: SimulatedReplica) -> object:
    """Let a payment go elsewhere as soon as its processor, which has answered 503 to it, does not know it."""
    return with_outcome(message, Outcome.UNKNOWN, Outcome.FAILED)


def keep_the_name(message: object, _: SimulatedReplica) -> object:
    """Let rows name a processor while nobody takes their payments."""
    if isinstance(message, Write):
        return replace(message, moves=tuple(move for move in message.moves if move.processor is not None))
    return message


def take_another_amount_for_no_answer(message: object, _: SimulatedReplica) -> object:
    """Ask for ever for a payment whose processor has its id with another amount."""
    if isinstance(message, LookUpsEnded):
        ends = (
            replace(end, result=LookUpResult.NO_ANSWER) if end.result is LookUpResult.MISMATCHED else end
            for end in message.ends
        )
        return LookUpsEnded(tuple(ends))
    return message


def trust_rows_that_may_be_lost(message: object, _: SimulatedReplica) -> object:
    """Let the router not hear that Postgres may have forgotten."""
    return DecisionDue() if isinstance(message, StoreChanged) else message


class JoiningPayments(PassedPayments):
    """A store that books the settlements of those payments alone whose rows it has."""

    def __init__(self, payments: MemoryPayments) -> None:
        super().__init__(payments)
        self._tables = payments.tables
        self.write = self._write_joined

    def _write_joined(
        self,
        claims: Sequence[Claim],
        moves: Sequence[Move],
        settlements: Sequence[Settlement],
        closings: Sequence[Closing] = (),
        marks: Sequence[Mark] = (),
    ) -> WriteResult:
        known = [each for each in settlements if each.correlation_id in self._tables.payments]
        return self._payments.write(claims, moves, known, closings, marks)


def drop_settlements_without_a_row(parts: Parts) -> Parts:
    assert isinstance(parts.payments, MemoryPayments)
    return replace(parts, payments=JoiningPayments(parts.payments))


def take_every_failover_for_harmless(parts: Parts) -> Parts:
    """Let replicas find all that they were told of in whichever Postgres takes over."""
    leases = parts.leases
    assert isinstance(leases, MemoryLeases)
    identity = leases.identity
    leases.identity = lambda: replace(identity(), mark=2**62, has_last_write=True)  # type: ignore[method-assign]  # planted
    return parts


@pytest.mark.parametrize(
    ("gateway", "order", "promise"),
    [
        pytest.param(gateway, order, promise, id=name)
        for name, gateway, order, promise in (
            (
                "takes a 503 for a refusal",
                with_changed_messages(take_an_unknown_end_for_a_refusal),
                losses.answer_in_front_of_the_processor,
                "charged twice",
            ),
            (
                "takes a 503 for a failure",
                with_changed_messages(take_an_unknown_end_for_a_failure),
                losses.answer_before_it_is_booked,
                "charged twice",
            ),
            (
                "keeps the name",
                with_changed_messages(keep_the_name),
                losses.lose_default_and_the_replica_that_waited,
                "not settled",
            ),
            (
                "takes another amount for no answer",
                with_changed_messages(take_another_amount_for_no_answer),
                losses.hold_another_amount,
                "not settled",
            ),
            (
                "drops settlements without a row",
                with_changed_parts(drop_settlements_without_a_row),
                losses.forget_a_payment_that_is_settled_then,
                "not durable|not settled",
            ),
            (
                "trusts rows that may be lost",
                with_changed_messages(trust_rows_that_may_be_lost),
                losses.forget_a_payment_that_is_held,
                "not durable",
            ),
            (
                "takes every failover for harmless",
                with_changed_parts(take_every_failover_for_harmless),
                losses.take_over_without_what_replica_1_was_told_of,
                "charged twice",
            ),
            (
                "charges at once what may be forgotten",
                with_changed_messages(trust_rows_that_may_be_lost),
                losses.post_again_what_was_settled_and_forgotten,
                "charged twice",
            ),
        )
    ],
)
def test_a_planted_bug_is_found_by_one_order_of_events(
    gateway: type[Gateway], order: Callable[[Gateway], None], promise: str
) -> None:
    find_by_one_order(gateway, order, promise)
