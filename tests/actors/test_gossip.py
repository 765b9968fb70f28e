from actors.errors import PeersUnavailableError
from actors.gossip import EXCHANGE_S, UNTOLD_MAX, GossipActor
from actors.messages.gossip import Spread
from actors.messages.intake import AcceptedByPeers
from actors.messages.trouble import GetTrouble
from tests.actors.fakes import MemoryChannel, Recorder, VirtualRuntime, deliver, payment


class Gossip:
    """A gossip actor that is not started, with what stands around it."""

    def __init__(self) -> None:
        self.channel, self.intake, self.runtime = MemoryChannel(), Recorder(), VirtualRuntime()
        self.actor = GossipActor(channel=self.channel, intake=self.intake, runtime=self.runtime)
        self.actor.on_start()
        deliver(self.actor)

    def exchange(self) -> None:
        self.runtime.advance(EXCHANGE_S)
        deliver(self.actor)


def test_what_was_accepted_is_told_once_with_the_next_exchange() -> None:
    gossip = Gossip()
    gossip.actor.on_receive(Spread((payment(1),)))
    gossip.actor.on_receive(Spread((payment(2),)))
    assert gossip.channel.told == []
    gossip.exchange()
    gossip.exchange()
    assert gossip.channel.told == [[payment(1), payment(2)]]


def test_what_is_heard_reaches_the_intake() -> None:
    gossip = Gossip()
    gossip.channel.unheard = [payment(3)]
    gossip.exchange()
    gossip.exchange()
    assert gossip.intake.messages == [AcceptedByPeers((payment(3),))]


def test_without_redis_nothing_is_told_and_it_begins_again_when_redis_is_back() -> None:
    gossip = Gossip()
    gossip.channel.error = PeersUnavailableError("planted")
    gossip.actor.on_receive(Spread((payment(1),)))
    gossip.exchange()
    gossip.channel.error = None
    gossip.actor.on_receive(Spread((payment(2),)))
    gossip.exchange()
    assert gossip.channel.told == [[payment(2)]]


def test_no_more_wait_to_be_told_than_allowed() -> None:
    gossip = Gossip()
    gossip.actor.on_receive(Spread(tuple(payment(number) for number in range(UNTOLD_MAX - 1))))
    gossip.actor.on_receive(Spread((payment(UNTOLD_MAX), payment(UNTOLD_MAX + 1))))
    gossip.actor.on_receive(Spread((payment(UNTOLD_MAX + 2),)))
    gossip.exchange()
    (told,) = gossip.channel.told
    assert (len(told), told[-1]) == (UNTOLD_MAX, payment(UNTOLD_MAX))


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
