"""The link between `ops/up`, which owns the replicas' processes, and its hands: a pair of datagram sockets.

The hands send the name of a replica to kill. `ops/up` tells several times a second what state each replica is in, as
JSON. What is lost because a side does not read is told again.
"""

import json
from collections.abc import Iterable

from gevent import Timeout
from gevent.event import Event
from gevent.socket import socket

DATAGRAM_BYTES_MAX = 8192
"""Room for the states of all replicas."""
KILL_S_MAX = 5.0
"""How long `ops/up` may take to kill a replica."""
STARTING, RUNNING, KILLED = "starting", "running", "killed"
"""The states of a replica: not ready yet, at work, and dead until its restart is due."""


class StackAwayError(Exception):
    """`ops/up` does not do what it is asked for."""


class StackLink:
    """The hands' end of the link."""

    def __init__(self, end: socket, replicas: Iterable[str]) -> None:
        self.states = dict.fromkeys(replicas, STARTING)
        """The state of each replica, as far as it has been told."""
        self._end = end
        self._told = Event()
        """Set with the next states, and replaced by a new one."""

    def listen(self) -> None:
        """Take in the states that are told; never returns."""
        while True:
            told = json.loads(self._end.recv(DATAGRAM_BYTES_MAX))
            self.states = {name: told.get(name, STARTING) for name in self.states}
            before, self._told = self._told, Event()
            before.set()

    def kill(self, replica: str) -> None:
        """Have a replica killed, and return when it is dead.

        Raises:
            StackAwayError: it was not within `KILL_S_MAX`.
        """
        with Timeout(KILL_S_MAX, StackAwayError(f"ops/up has not killed replica {replica} within {KILL_S_MAX:g} s")):
            self._end.send(replica.encode())
            while self.states[replica] != KILLED:
                self._told.wait()
