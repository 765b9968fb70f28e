"""Three replicas over one Postgres in virtual time: two of them accept different amounts under an id at once."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from random import Random

import pytest

from actors.arbiter import DECIDED_S_MAX, Arbiter
from actors.domain.payment import Payment
from actors.domain.processors import Processor
from actors.errors import PeersUnavailableError
from actors.gossip import EXCHANGE_S
from actors.messages.intake import AcceptAnswer, AcceptedByPeers
from actors.settings import Settings
from actors.system import Parts
from ops.simulation.clock import SimulatedRuntime
from ops.simulation.cluster import Cluster, Conditions
from ops.simulation.peers import MemoryChannel
from ops.simulation.stores import MemoryPayments
from tests.actors.fakes import payment

NAMES = ("1", "2", "3")
REST_S = 2.0
TAKEN, REFUSED = {AcceptAnswer.ACCEPTED, AcceptAnswer.REPEATED}, {AcceptAnswer.CONFLICT}
Decide = Callable[[Payment, AcceptAnswer], AcceptAnswer]


class Replicas(Cluster):
    """Three replicas that tell each other what they accept as a test lets them."""

    def __init__(self) -> None:
        self.channels: dict[str, MemoryChannel] = {}
        processors = (Processor("default", "http://d", Decimal("0.05")),)
        super().__init__(Conditions(processors=processors), NAMES, Random(1))
        for replica in self.replicas.values():
            replica.start()
        self.rest()

    def make_parts(self, settings: Settings, runtime: SimulatedRuntime) -> Parts:
        parts = super().make_parts(settings, runtime)
        return replace(parts, open_channel=lambda _: MemoryChannel(self.channels, settings.replica))

    def rest(self, seconds: float = REST_S) -> None:
        self.clock.run(self.clock.time_s + seconds)

    def post(self, name: str, posted: Payment, decide: Decide | None = None) -> AcceptAnswer:
        """Post a payment and wait for its answer; `decide` stands in for the arbiter."""
        replica, answers = self.replicas[name], list[AcceptAnswer]()
        arbiter = Arbiter(replica.parts.payments, replica.system.intake, replica.runtime)

        def answer(found: AcceptAnswer) -> None:
            if found in {AcceptAnswer.UNCONFIRMED, AcceptAnswer.CONTESTED}:
                found = (decide or arbiter.decide)(posted, found)
            answers.append(found)

        replica.accept(posted, lambda found: replica.runtime.spawn(answer, found))
        self.rest(2 * DECIDED_S_MAX)
        return answers[0]


def race(replicas: Replicas, *, lost_first: bool) -> tuple[Payment, Payment]:
    """Let two replicas accept two amounts at once, and the third hear of one alone; give both, the winner first.

    Until the channels are mended it hears of nothing else.
    """
    for channel in replicas.channels.values():
        channel.error = PeersUnavailableError("planted")
    for name, minor in (("1", 100), ("2", 200)):
        replicas.replicas[name].accept(payment(1, minor), lambda _: None)
    replicas.rest()
    assert len(replicas.tables.conflicts) == 1
    won = replicas.tables.payments[payment(1).correlation_id]
    lost = payment(1, 300 - won.amount_minor)
    replicas.replicas["3"].system.intake.tell(AcceptedByPeers((lost if lost_first else won,)))
    replicas.rest(EXCHANGE_S)
    return won, lost


def mend(replicas: Replicas) -> None:
    for channel in replicas.channels.values():
        channel.error = None
    replicas.rest()


def check_answers(replicas: Replicas, won: Payment, lost: Payment, decide: Decide | None = None) -> None:
    for name in NAMES:
        assert replicas.post(name, won, decide) in TAKEN, f"{name} refuses the winner"
        assert replicas.post(name, lost, decide) in REFUSED, f"{name} takes the loser"


@pytest.mark.parametrize("lost_first", [True, False])
def test_every_replica_takes_the_amount_that_postgres_has_and_refuses_the_other(lost_first: bool) -> None:  # noqa: FBT001
    replicas = Replicas()
    won, lost = race(replicas, lost_first=lost_first)
    mend(replicas)
    check_answers(replicas, won, lost)


def test_a_replica_that_has_heard_of_the_loser_alone_asks_postgres() -> None:
    replicas = Replicas()
    won, lost = race(replicas, lost_first=True)
    check_answers(replicas, won, lost)


@pytest.mark.parametrize("is_away", [True, False])
def test_a_replica_that_has_heard_of_the_loser_alone_refuses_nothing_before_postgres_has_a_row(is_away: bool) -> None:  # noqa: FBT001
    replicas = Replicas()
    replicas.replicas["3"].system.intake.tell(AcceptedByPeers((payment(1, 200),)))
    replicas.rest(EXCHANGE_S)
    payments = replicas.replicas["3"].parts.payments
    assert isinstance(payments, MemoryPayments)
    payments.failures = 100 if is_away else 0
    assert replicas.post("3", payment(1, 100)) is AcceptAnswer.CONTESTED


def decide_by_hearsay(_payment: Payment, _found: AcceptAnswer) -> AcceptAnswer:
    return AcceptAnswer.CONFLICT


def test_a_replica_that_decides_by_what_it_has_heard_is_found() -> None:
    replicas = Replicas()
    won, lost = race(replicas, lost_first=True)
    with pytest.raises(AssertionError, match="3 refuses the winner"):
        check_answers(replicas, won, lost, decide_by_hearsay)
