"""The detector finds bugs: each is planted from outside, by a part that takes the place of the product's own."""

from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from actors.domain.messages import Accept, AcceptAnswer, Assign, ChargeEnded, Committed
from actors.domain.outcome import Outcome
from actors.domain.payment import Payment
from actors.intake import IntakeActor
from actors.persistence import PersistenceActor
from actors.ports import LookUpAnswer, ProcessorClient
from actors.processor import ProcessorActor
from actors.router import RouterActor
from tests.chaos.model import Replica
from tests.chaos.test_model import Gateway


class AnswersTooEarly(IntakeActor):
    """202 before the journal's write."""

    def on_receive(self, message: object) -> object:
        if isinstance(message, Accept):
            message.reply(AcceptAnswer.ACCEPTED)
            message = Accept(message.payment, lambda _: None, message.wanted_until_s)
        return super().on_receive(message)


class ForgetsTooEarly(PersistenceActor):
    """Lets the journal delete what Postgres does not have yet."""

    def on_receive(self, message: object) -> object:
        if isinstance(message, Assign):
            self._intake.tell(Committed(tuple(claim.payment.correlation_id for claim in message.claims)))
        return super().on_receive(message)


class LosesBatches(PersistenceActor):
    """Drops a batch that failed, as after a deadlock."""

    def _commit(self) -> None:
        super()._commit()
        if self._failures:
            self._claims.clear()
            self._moves.clear()
            self._settlements.clear()
            self._failures = 0


class DropsThePin(RouterActor):
    """Lets a payment go elsewhere although it may have been charged."""

    def _charge_ended(self, message: ChargeEnded) -> None:
        entry = self._entries.get(message.correlation_id)
        super()._charge_ended(message)
        if entry is not None and message.outcome is Outcome.UNKNOWN:
            entry.life.unknown_since_s = None


class TakesAlreadyChargedForAFailure(RouterActor):
    """Sends a payment elsewhere that its processor knows already."""

    def _charge_ended(self, message: ChargeEnded) -> None:
        entry = self._entries.get(message.correlation_id)
        if entry is not None and message.outcome is Outcome.ALREADY_CHARGED:
            entry.life.unknown_since_s = None
            message = ChargeEnded(message.correlation_id, Outcome.FAILED, message.requested_at_ms)
        super()._charge_ended(message)


class StampsAnew:
    """Sends another instant than the one that is recorded."""

    def __init__(self, client: ProcessorClient) -> None:
        self._client = client

    def charge(self, payment: Payment, requested_at_ms: int) -> Outcome:
        return self._client.charge(payment, requested_at_ms + 1)

    def look_up(self, payment: Payment) -> LookUpAnswer:
        return self._client.look_up(payment)


class SendsWithoutLease(ProcessorActor):
    """Goes on after others have taken over."""

    def on_receive(self, message: object) -> object:
        self._lease_until_s = float("inf")
        return super().on_receive(message)


def planted(part: type) -> type[Replica]:
    """Make a replica in which this part stands in the place of the product's own."""

    replaced = {base: part for base in part.__mro__ if base in Replica.part_classes}

    class PlantedReplica(Replica):
        part_classes: ClassVar[dict[type, type]] = Replica.part_classes | replaced

    if part is StampsAnew:
        PlantedReplica.make_client = lambda self, name: StampsAnew(Replica.make_client(self, name))  # type: ignore[method-assign]
    return PlantedReplica


@pytest.mark.parametrize(
    ("part", "promise"),
    [
        (AnswersTooEarly, "not durable|not settled"),
        (ForgetsTooEarly, "not durable"),
        (LosesBatches, "not settled"),
        (DropsThePin, "charged twice|final too early"),
        (TakesAlreadyChargedForAFailure, "charged twice|final too early"),
        (StampsAnew, "not as booked|final too early"),
    ],
)
def test_a_planted_bug_is_found(part: type, promise: str) -> None:
    class Planted(Gateway):
        replica_class = planted(part)

    with pytest.raises(AssertionError, match=promise):
        run_state_machine_as_test(
            Planted,
            settings=settings(
                max_examples=2000,
                stateful_step_count=60,
                deadline=None,
                derandomize=True,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )


def sleep_through_an_adoption(gateway: Gateway) -> None:
    """Let a replica stand still with a charge under way until others have settled it elsewhere, and go on."""
    gateway.start()
    gateway.run_freely(1.0)
    gateway.post(0, 100, again=False)
    replica = gateway.replicas["1"]
    assert replica is not None
    for index in range(1000):
        if replica.runtime.under_way:
            break
        gateway.pass_time(0.01)
        gateway.handle_messages(index, 1)
    gateway.stall_or_go_on("1")
    gateway.behave("default", "fail")
    gateway.run_freely(40.0)
    assert len(gateway.world.tables.settlements) == 1
    gateway.behave("default", "ok")
    gateway.stall_or_go_on("1")
    gateway.end_a_call(0)
    gateway.no_payment_is_charged_twice()


def test_sending_without_a_lease_is_found_by_one_order_of_events() -> None:
    """A search finds that order too seldom."""

    class Planted(Gateway):
        replica_class = planted(SendsWithoutLease)

    with pytest.raises(AssertionError, match="charged twice"):
        sleep_through_an_adoption(Planted())
    sleep_through_an_adoption(Gateway())
