"""Gossip: tells the other replicas which ids were accepted here, so that they too refuse them with another amount."""

import logging

from actors.actor import Actor
from actors.domain.messages import Accepted, Known, Tick
from actors.domain.payment import Payment
from actors.errors import PeersUnavailableError
from actors.ports import PeerChannel, Recipient, Runtime

logger = logging.getLogger(__name__)

EXCHANGE_S = 0.25
HEARD_MAX = 20_000
"""Payments that wait to be told, or are taken in, at once; what is beyond is not told."""


class GossipActor(Actor):
    """Owns what is not told yet. Without Redis nothing is: Postgres still refuses a second payment under one id."""

    def __init__(self, *, channel: PeerChannel, intake: Recipient, runtime: Runtime) -> None:
        super().__init__()
        self._channel = channel
        self._intake = intake
        self._runtime = runtime
        self._untold: list[Payment] = []

    def on_start(self) -> None:
        """Begin with what was told lately."""
        self.tell_self(Tick())

    def on_stop(self) -> None:
        """Let go of the channel."""
        self._channel.close()

    def on_receive(self, message: object) -> object:
        """Handle one message of `actors.domain.messages`."""
        match message:
            case Accepted(payments):
                self._untold.extend(payments[: HEARD_MAX - len(self._untold)])
            case Tick():
                self._exchange()
                self._runtime.call_later(EXCHANGE_S, self.tell_self, Tick())
        return None

    def _exchange(self) -> None:
        untold, self._untold = self._untold, []
        try:
            if untold:
                self._channel.tell(untold)
            heard = self._channel.hear()
        except PeersUnavailableError as error:
            logger.debug("%d payments are not told to the other replicas: %s", len(untold), error)
            return
        if heard:
            self._intake.tell(Known(tuple(heard), certain=False))
