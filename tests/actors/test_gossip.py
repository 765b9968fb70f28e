from uuid import UUID

import pytest

from actors.domain.history_questions import ToldHistory, ToldStep
from actors.domain.lifecycle import State
from actors.domain.money import Money
from actors.domain.payment import Payment
from actors.domain.peers import Denials, PeerAnswer, PeerNews, PeerQuestion
from actors.domain.work import Driven
from actors.errors import GatewayUnavailableError, PeersUnavailableError
from actors.gossip import ANSWERED_MAX, ASKING_S, EXCHANGE_S, TOLD_MAX, UNTOLD_MAX, GossipActor
from actors.messages.gossip import AskHistory, AskPeers, GetDenials, GetHistories, Spread
from actors.messages.intake import AcceptedByPeers, DecidedByPeers, FindAccepted, Found
from actors.messages.router import GetDriven, GetHistory
from actors.messages.trouble import GetTrouble
from tests.actors.fakes import MemoryChannel, Recorder, VirtualRuntime, deliver, payment
from tests.actors.fakes_journal import MemoryShelf

ONE, TWO = UUID(int=1), UUID(int=2)


class Gossip:
    """A gossip actor that is not started, with what stands around it."""

    def __init__(self, channels: dict[str, MemoryChannel] | None = None, replica: str = "1") -> None:
        self.channel, self.shelf = MemoryChannel(channels, replica), MemoryShelf()
        self.intake = Recorder({FindAccepted: Found({}, remembers_waiting=True)})
        self.router, self.runtime = Recorder({GetDriven: None}), VirtualRuntime()
        self.actor = GossipActor(
            channel=self.channel,
            intake=self.intake,
            router=self.router,
            shelf=self.shelf,
            runtime=self.runtime,
            replica=replica,
        )
        self.actor.on_start()
        deliver(self.actor)

    def advance(self, seconds: float) -> None:
        self.runtime.advance(seconds)
        deliver(self.actor)

    def exchange(self) -> None:
        self.advance(EXCHANGE_S)

    def ask(self, correlation_id: UUID) -> int:
        number = self.actor.on_receive(AskPeers(correlation_id))
        assert isinstance(number, int)
        deliver(self.actor)
        return number

    def ask_history(self, correlation_id: UUID) -> int:
        number = self.actor.on_receive(AskHistory(correlation_id))
        assert isinstance(number, int)
        deliver(self.actor)
        return number

    def denials(self, number: int) -> Denials:
        denials = self.actor.on_receive(GetDenials(number))
        assert isinstance(denials, Denials)
        return denials

    @property
    def accepted(self) -> list[tuple[Payment, ...]]:
        """The payments that were told as accepted, by exchange."""
        return [news.accepted for news in self.channel.told]


def test_what_was_accepted_is_told_once_with_the_next_exchange() -> None:
    gossip = Gossip()
    gossip.actor.on_receive(Spread((payment(1),)))
    gossip.actor.on_receive(Spread((payment(2),), (payment(3),)))
    assert gossip.channel.told == []
    gossip.exchange()
    gossip.exchange()
    assert gossip.channel.told == [PeerNews("1", (payment(1), payment(2)), (payment(3),))]


def test_what_is_heard_reaches_the_intake() -> None:
    gossip = Gossip()
    gossip.channel.unheard = [PeerNews("2", (payment(3),), (payment(4),))]
    gossip.exchange()
    gossip.exchange()
    assert gossip.intake.messages == [AcceptedByPeers((payment(3),)), DecidedByPeers((payment(4),))]


def test_what_could_not_be_told_without_redis_is_told_when_it_is_back() -> None:
    gossip = Gossip()
    gossip.channel.error = PeersUnavailableError("planted")
    gossip.actor.on_receive(Spread((payment(1),)))
    gossip.exchange()
    gossip.channel.error = None
    gossip.actor.on_receive(Spread((payment(2),)))
    gossip.exchange()
    assert gossip.accepted == [(payment(1), payment(2))]


def test_no_more_wait_to_be_told_than_allowed_and_no_more_are_told_at_once() -> None:
    gossip = Gossip()
    gossip.actor.on_receive(Spread(tuple(payment(number) for number in range(UNTOLD_MAX - 1))))
    gossip.actor.on_receive(Spread((payment(UNTOLD_MAX), payment(UNTOLD_MAX + 1))))
    gossip.actor.on_receive(Spread((payment(UNTOLD_MAX + 2),), (payment(UNTOLD_MAX + 3),)))
    for _ in range(UNTOLD_MAX // TOLD_MAX + 1):
        gossip.exchange()
    assert [len(told) for told in gossip.accepted] == [TOLD_MAX] * (UNTOLD_MAX // TOLD_MAX)
    assert gossip.accepted[-1][-1] == payment(UNTOLD_MAX)


def test_the_channel_is_closed_with_the_actor() -> None:
    gossip = Gossip()
    gossip.actor.on_stop()
    assert str(gossip.channel.error) == "closed"


def test_it_tells_for_how_long_nothing_could_be_exchanged_and_why() -> None:
    gossip = Gossip()
    assert gossip.actor.on_receive(GetTrouble()) is None
    gossip.channel.error = PeersUnavailableError("planted")
    for _ in range(9):
        gossip.exchange()
    assert gossip.actor.on_receive(GetTrouble()) == "accepted payments are not exchanged for 2 s: planted"
    gossip.channel.error = None
    gossip.exchange()
    assert gossip.actor.on_receive(GetTrouble()) is None


# Histories of payments.


def test_a_history_is_asked_for_at_once_and_told_with_the_next_exchange_of_each_other_replica() -> None:
    channels: dict[str, MemoryChannel] = {}
    asker, other = Gossip(channels, "1"), Gossip(channels, "2")
    told = ToldHistory("2", (ToldStep(5, "sent", "default"),), None)
    other.router.answers[GetHistory] = told
    number = asker.ask_history(ONE)
    other.exchange()
    asker.advance(ASKING_S)
    assert asker.actor.on_receive(GetHistories(number)) == (told,)


def test_a_replica_whose_router_does_not_answer_tells_no_history_and_all_else() -> None:
    channels: dict[str, MemoryChannel] = {}
    asker, other = Gossip(channels, "1"), Gossip(channels, "2")
    other.router.answers[GetHistory] = GatewayUnavailableError("planted")
    number = asker.ask_history(ONE)
    other.actor.on_receive(Spread((payment(1),)))
    other.exchange()
    asker.advance(ASKING_S)
    assert asker.actor.on_receive(GetHistories(number)) == ()
    assert AcceptedByPeers((payment(1),)) in asker.intake.messages


# Questions.


def test_an_id_is_asked_for_at_once_and_who_does_not_know_it_denies_it_with_its_next_exchange() -> None:
    channels: dict[str, MemoryChannel] = {}
    asker, other = Gossip(channels, "1"), Gossip(channels, "2")
    number = asker.ask(ONE)
    other.exchange()
    asker.advance(ASKING_S)
    assert asker.denials(number) == Denials(frozenset({"2"}))


@pytest.mark.parametrize("where", ["intake", "router"])
def test_who_knows_an_id_tells_of_its_payment_instead(where: str) -> None:
    channels: dict[str, MemoryChannel] = {}
    asker, other = Gossip(channels, "1"), Gossip(channels, "2")
    if where == "intake":
        other.intake.answers[FindAccepted] = Found({ONE: Money(5, "JPY")}, remembers_waiting=True)
    else:
        other.router.answers[GetDriven] = Driven(payment(1, 5, "JPY"), State.HELD, None, attempts=0, pinned=False)
    number = asker.ask(ONE)
    other.exchange()
    asker.advance(ASKING_S)
    assert asker.denials(number) == Denials(is_known=True)
    (told,) = [message for message in asker.intake.messages if isinstance(message, AcceptedByPeers)]
    assert [(each.correlation_id, each.money) for each in told.payments] == [(ONE, Money(5, "JPY"))]


@pytest.mark.parametrize("found", [Found({}, remembers_waiting=False), GatewayUnavailableError("planted")])
def test_who_cannot_look_everywhere_does_not_answer(found: object) -> None:
    channels: dict[str, MemoryChannel] = {}
    asker, other = Gossip(channels, "1"), Gossip(channels, "2")
    other.intake.answers[FindAccepted] = found
    number = asker.ask(ONE)
    other.exchange()
    asker.advance(ASKING_S)
    assert asker.denials(number) == Denials()


def test_a_replica_whose_journal_holds_nothing_when_the_question_is_sent_need_not_answer() -> None:
    gossip = Gossip()
    gossip.shelf.empty = frozenset({"3"})
    number = gossip.ask(ONE)
    gossip.shelf.empty = frozenset({"2", "3"})
    gossip.advance(ASKING_S)
    assert gossip.denials(number) == Denials(frozenset({"3"}))


def test_a_question_that_could_not_be_told_is_answered_by_nobody() -> None:
    channels: dict[str, MemoryChannel] = {}
    asker, other = Gossip(channels, "1"), Gossip(channels, "2")
    asker.channel.error = PeersUnavailableError("planted")
    number = asker.ask(ONE)
    asker.channel.error = None
    asker.advance(ASKING_S)
    other.exchange()
    asker.advance(ASKING_S)
    assert asker.denials(number) == Denials()


def test_the_latest_questions_are_answered_first_and_no_more_at_once_than_allowed() -> None:
    gossip = Gossip()
    ids = [UUID(int=number) for number in range(ANSWERED_MAX + 1)]
    gossip.channel.unheard = [
        PeerNews("2", question=PeerQuestion("2", number, (correlation_id,)))
        for number, correlation_id in enumerate(ids)
    ]
    gossip.exchange()
    (told,) = gossip.channel.told
    assert len(told.answers) == ANSWERED_MAX
    assert told.answers[0] == PeerAnswer("2", ANSWERED_MAX, (ids[-1],))


def test_the_own_question_is_not_answered() -> None:
    gossip = Gossip()
    gossip.channel.unheard = [PeerNews("1", question=PeerQuestion("1", 1, (ONE,)))]
    gossip.exchange()
    assert gossip.channel.told == []


def test_without_anybody_who_waits_exchanges_have_their_usual_distance() -> None:
    gossip = Gossip()
    gossip.ask(ONE)
    for _ in range(100):
        gossip.advance(ASKING_S)
    assert len(gossip.runtime.timers) == 1
