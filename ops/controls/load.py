"""A load of payments on the gateway: an open loop, so that a slow gateway gets no fewer payments."""

import time
from collections.abc import Callable
from http import HTTPStatus
from uuid import uuid4

from gevent.event import Event
from gevent.pool import Pool

from actors.adapters.host_addresses import HostAddresses
from actors.adapters.http_pool import HttpPool
from ops.benchmarks.clients import REQUEST

RATE_MAX = 500
"""Payments a second that may be offered."""
CLIENTS = 24
"""Clients that take turns, each with a connection of its own: the kernel gives each connection to one replica."""
PAYMENTS_PER_CONNECTION = 50
"""After this many payments a client connects anew, so that replicas that were restarted get their share again."""
UNDER_WAY_MAX = 256
"""The most payments that may wait for their answers; further ones fail at once."""
ANSWER_S_MAX = 5.0
LAG_S_MAX = 1.0
"""Payments that are late by more than this, because the process stood still, are left out."""
UNWATCHED_S_MAX = 600.0
"""How long a load goes on without a viewer."""


class PaymentLoad:
    """Posts payments at a rate that may change at any time, as long as there is a viewer."""

    def __init__(
        self, port: int, now_s: Callable[[], float] = time.monotonic, unwatched_s_max: float = UNWATCHED_S_MAX
    ) -> None:
        """Post nothing yet; `port` is the one that all replicas share, `now_s` a monotonic clock."""
        self.rate = 0
        """Payments a second at present."""
        self.sent = 0
        self.accepted = 0
        self.failed = 0
        """Payments that were answered with anything but 202, or not within `ANSWER_S_MAX`."""
        self._now_s = now_s
        self._unwatched_s_max = unwatched_s_max
        self._watched_at_s = now_s()
        self._changed = Event()
        self._address = HostAddresses("127.0.0.1", port)
        self._clients = [self._connect_anew() for _ in range(CLIENTS)]
        self._posts = Pool(UNDER_WAY_MAX)

    def set_rate(self, rate: int) -> None:
        """Offer `rate` payments a second from now on; 0 stops the load."""
        assert 0 <= rate <= RATE_MAX  # noqa: S101 - whoever asks for it is answered before
        self.rate = rate
        self.note_viewer()
        self._changed.set()

    def note_viewer(self) -> None:
        """Note that there is a viewer."""
        self._watched_at_s = self._now_s()

    def run(self) -> None:
        """Post payments while there is a rate; never returns."""
        while True:
            self._changed.wait()
            self._changed.clear()
            self._offer()

    def _offer(self) -> None:
        """Post at the present rate until it changes, or until there is no viewer any more."""
        due_s = self._now_s()
        while self.rate:
            if self._now_s() - self._watched_at_s > self._unwatched_s_max:
                self.rate = 0
                return
            self._post()
            due_s = max(due_s + 1 / self.rate, self._now_s() - LAG_S_MAX)
            if self._changed.wait(max(0.0, due_s - self._now_s())):
                return

    def _post(self) -> None:
        turn, client = divmod(self.sent, CLIENTS)
        if turn and turn % PAYMENTS_PER_CONNECTION == 0:
            self._clients[client].close()
            self._clients[client] = self._connect_anew()
        self.sent += 1
        if self._posts.full():
            self.failed += 1
        else:
            self._posts.spawn(self._send, self._clients[client], REQUEST % str(uuid4()).encode())

    def _send(self, client: HttpPool, request: bytes) -> None:
        try:
            is_accepted = client.call(request).status == HTTPStatus.ACCEPTED
        except Exception:  # noqa: BLE001 - the pool names no other kind: there is no answer
            is_accepted = False
        self.accepted += is_accepted
        self.failed += not is_accepted

    def _connect_anew(self) -> HttpPool:
        return HttpPool(self._address, ANSWER_S_MAX, UNDER_WAY_MAX)
