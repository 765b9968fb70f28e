"""Decides which client has to leave, so that a new one is served and memory stays bounded."""

from collections import OrderedDict
from dataclasses import dataclass

from actors.domain.level import Level
from gateway.server.connection import Connection, Phase

UNFINISHED_BYTES_MAX = 1024 * 1024
"""The most bytes of heads and bodies that may have been received of all requests that are not whole yet."""
UNTAKEN_BYTES_MAX = 4 * 1024 * 1024
"""The most bytes of answers that all clients together may leave untaken; the largest answers have some 130 kB."""


@dataclass(frozen=True, slots=True)
class ClientLevels:
    """How much of a worker clients take up."""

    connections: Level
    unfinished_bytes: Level
    """Bytes that have been received of requests that are not whole."""
    untaken_bytes: Level
    """Bytes of answers that their clients have not taken as a whole yet."""


class _ByteSum:
    """Bytes that connections keep in memory, bounded over all of them."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._sizes: dict[Connection, int] = {}
        self._bytes = 0

    @property
    def level(self) -> Level:
        return Level(self._bytes, self._bytes_max)

    def put(self, connection: Connection, size: int) -> None:
        """Let this be the bytes of a connection, whatever they were."""
        self._bytes += size - self._sizes.pop(connection, 0)
        if size:
            self._sizes[connection] = size

    def to_cut(self) -> Connection | None:
        """Give the connection with most bytes where all have too many; none whose request the application has."""
        if self._bytes <= self._bytes_max:
            return None
        waiting = (each for each in self._sizes if each.phase is not Phase.ANSWERING)
        return max(waiting, key=self._sizes.__getitem__, default=None)


class ClientAdmission:
    """Bounds the connections of a worker, and over all of them the bytes of unfinished requests and of untaken answers.

    The connection that keeps the worker waiting longest is cut first: its client is idle, or sends its request, takes
    its answer or ends its connection slowly. A connection whose request the application has is never cut.
    """

    def __init__(
        self,
        connections_max: int,
        unfinished_bytes_max: int = UNFINISHED_BYTES_MAX,
        untaken_bytes_max: int = UNTAKEN_BYTES_MAX,
    ) -> None:
        self._connections_max = connections_max
        self._connections: OrderedDict[Connection, None] = OrderedDict()
        """All connections, by when their last request, or else the connection, began; the earliest comes first."""
        self._living = 0
        """How many of them have not been cut."""
        self._unfinished = _ByteSum(unfinished_bytes_max)
        self._untaken = _ByteSum(untaken_bytes_max)

    def levels(self) -> ClientLevels:
        """Tell how much clients take up."""
        living = Level(self._living, self._connections_max)
        return ClientLevels(living, self._unfinished.level, self._untaken.level)

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
        self._unfinished.put(connection, connection.unfinished_bytes)
        while (largest := self._unfinished.to_cut()) is not None:
            self._cut(largest)
            self.finish(largest)

    def finish(self, connection: Connection) -> None:
        """Count the bytes of a connection no more: its request is whole, or given up."""
        connection.unfinished_bytes = 0
        self._unfinished.put(connection, 0)

    def leave_untaken(self, connection: Connection, size: int) -> None:
        """Count an answer of this size that its client has not taken; where all are too large, the largest is cut."""
        self._untaken.put(connection, size)
        while (largest := self._untaken.to_cut()) is not None:
            self._cut(largest)
            self._untaken.put(largest, 0)

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
