"""Gossip: tells the other replicas which payments were accepted, so that they refuse their ids with other amounts."""

import logging
from typing import assert_never

from actors.actor import Actor
from actors.domain.payment import Payment
from actors.domain.trouble import Trouble
from actors.errors import PeersUnavailableError
from actors.messages.gossip import GossipMessage, Spread, SpreadDue
from actors.messages.intake import AcceptedByPeers, in_chunks
from actors.messages.trouble import GetTrouble
from actors.ports import PeerChannel, Recipient, Runtime

logger = logging.getLogger(__name__)

EXCHANGE_S = 0.25
"""Time between two exchanges with the other replicas."""
UNTOLD_MAX = 20_000
"""Payments that may wait to be told to the other replicas. Further ones are not told."""


class GossipActor(Actor):
    """Keeps the accepted payments that the other replicas have not been told of yet.

    Without Redis they are not told at all. Postgres still refuses a second payment with the same id.
    """

    REFUSED_WHEN_FULL = (GetTrouble,)

    def __init__(self, *, channel: PeerChannel, intake: Recipient, runtime: Runtime) -> None:
        super().__init__()
        self._channel = channel
        self._intake = intake
        self._runtime = runtime
        self._untold: list[Payment] = []
        self._trouble = Trouble("accepted payments are not exchanged")

    def on_start(self) -> None:
        """Read at once what other replicas have told lately."""
        self.tell_self(SpreadDue())

    def on_stop(self) -> None:
        """Close the channel."""
        self._channel.close()

    def on_receive(self, message: GossipMessage) -> object:
        """Handle one message."""
        match message:
            case Spread(payments):
                self._untold.extend(payments[: UNTOLD_MAX - len(self._untold)])
            case SpreadDue():
                self._exchange()
                self._runtime.call_later(EXCHANGE_S, self.tell_self, SpreadDue())
            case GetTrouble():
                return self._trouble.describe(self._runtime.now_s())
            case _:
                assert_never(message)
        return None

    def _exchange(self) -> None:
        untold, self._untold = self._untold, []
        try:
            if untold:
                self._channel.tell(untold)
            heard = self._channel.hear()
        except PeersUnavailableError as error:
            logger.debug("%d payments are not told to the other replicas: %s", len(untold), error)
            self._trouble.failed(error, self._runtime.now_s())
            return
        self._trouble.succeeded()
        for chunk in in_chunks(heard):
            self._intake.tell(AcceptedByPeers(chunk))
