"""Decides which client has to leave, so that a new one is served and memory stays bounded."""

from collections import OrderedDict
from dataclasses import dataclass

from actors.domain.level import Level
from gateway.server.connection import Connection, Phase

UNFINISHED_BYTES_MAX = 1024 * 1024
"""The most bytes of heads and bodies that may have been received of all requests that are not whole yet."""
UNSENT_BYTES_MAX = 4 * 1024 * 1024
"""The most bytes of answers that all clients together may leave untaken; the largest answers have some 130 kB."""


@dataclass(frozen=True, slots=True)
class ClientLevels:
    """How much of a worker clients take up."""

    connections: Level
    unfinished_bytes: Level
    """Bytes that have been received of requests that are not whole."""
    unsent_bytes: Level
    """Bytes of answers that their clients have not taken as a whole yet."""


class ClientAdmission:
    """Bounds the connections of a worker, and over all of them the bytes of unfinished requests and of untaken answers.

    The connection that keeps the worker waiting longest is cut first: its client is idle, or sends its request, takes
    its answer or ends its connection slowly. A connection whose request the application has is never cut.
    """

    def __init__(
        self,
        connections_max: int,
        unfinished_bytes_max: int = UNFINISHED_BYTES_MAX,
        unsent_bytes_max: int = UNSENT_BYTES_MAX,
    ) -> None:
        self._connections_max = connections_max
        self._unfinished_bytes_max = unfinished_bytes_max
        self._unsent_bytes_max = unsent_bytes_max
        self._connections: OrderedDict[Connection, None] = OrderedDict()
        """All connections, by when their last request, or else the connection, began; the earliest comes first."""
        self._living = 0
        """How many of them have not been cut."""
        self._unfinished: dict[Connection, None] = {}
        """Connections of which a part of a request has been received."""
        self._unfinished_bytes = 0
        self._unsent: dict[Connection, None] = {}
        """Connections whose clients have not taken all of an answer."""
        self._unsent_bytes = 0

    def levels(self) -> ClientLevels:
        """Tell how much clients take up."""
        return ClientLevels(
            Level(self._living, self._connections_max),
            Level(self._unfinished_bytes, self._unfinished_bytes_max),
            Level(self._unsent_bytes, self._unsent_bytes_max),
        )

    def enter(self, connection: Connection) -> None:
        """Take a new connection, and cut the one that has waited longest where there are too many."""
        self._living += 1
        self.make_room()
        self._connections[connection] = None

    def leave(self, connection: Connection) -> None:
        """Forget a connection that ends."""
        self.finish(connection)
        self.leave_untaken(connection, 0)
        del self._connections[connection]
        if not connection.is_cut:
            self._living -= 1

    def rest(self, connection: Connection) -> None:
        """Let a connection wait for the first byte of a request."""
        connection.phase = Phase.IDLE
        self._connections.move_to_end(connection)
        # While the application had the requests of all connections, none could be cut for new ones.
        if self._living > self._connections_max and connection.is_served:
            self.make_room()

    def make_room(self) -> None:
        """Cut the connections that have waited longest until there are no more than allowed."""
        while self._living > self._connections_max:
            waiting = (each for each in self._connections if each.phase is not Phase.ANSWERING and not each.is_cut)
            longest = next(waiting, None)
            if longest is None:
                return
            self._cut(longest)

    def hold(self, connection: Connection, size: int) -> None:
        """Count `size` bytes of a request that is not whole; where they are too many, the largest one is cut."""
        if not connection.unfinished_bytes:
            self._connections.move_to_end(connection)
        connection.unfinished_bytes += size
        self._unfinished[connection] = None
        self._unfinished_bytes += size
        while self._unfinished_bytes > self._unfinished_bytes_max:
            waiting = (each for each in self._unfinished if each.phase is not Phase.ANSWERING)
            largest = max(waiting, key=lambda each: each.unfinished_bytes, default=None)
            if largest is None:
                return
            self._cut(largest)
            self.finish(largest)

    def finish(self, connection: Connection) -> None:
        """Count the bytes of a connection no more: its request is whole, or given up."""
        self._unfinished_bytes -= connection.unfinished_bytes
        connection.unfinished_bytes = 0
        self._unfinished.pop(connection, None)

    def leave_untaken(self, connection: Connection, size: int) -> None:
        """Count an answer of this size that its client has not taken; where all are too large, the largest is cut."""
        self._unsent_bytes += size - connection.unsent_bytes
        connection.unsent_bytes = size
        if size:
            self._unsent[connection] = None
        else:
            self._unsent.pop(connection, None)
        while self._unsent_bytes > self._unsent_bytes_max:
            largest = max(self._unsent, key=lambda each: each.unsent_bytes)
            self._cut(largest)
            self.leave_untaken(largest, 0)

    def sweep(self, now_s: float) -> None:
        """Cut the connections whose deadline has passed, and those that are too many."""
        for connection in [each for each in self._connections if each.deadline < now_s]:
            self._cut(connection)
        self.make_room()

    def end_idle(self) -> None:
        """Let idle connections end; a request that has arrived meanwhile is still answered."""
        for connection in [each for each in self._connections if each.phase is Phase.IDLE]:
            self._cut(connection)

    def _cut(self, connection: Connection) -> None:
        if not connection.is_cut:
            self._living -= 1
        connection.cut()
