"""The link from the controls to `ops/up`, which owns the replicas' processes.

The link is a pair of datagram sockets. The controls send the name of a replica to kill. Several times a second `ops/up`
sends the state of each replica, as a JSON map, so that a datagram that was not read in time is soon replaced.
"""

import json
from collections.abc import Iterable

from gevent import Timeout
from gevent.event import Event
from gevent.socket import socket

from ops.stack.process import ProcessState

DATAGRAM_BYTES_MAX = 8192
"""Room for the states of all replicas."""
KILL_S_MAX = 5.0
"""How long `ops/up` may take to kill a replica."""


class StackAwayError(Exception):
    """`ops/up` does not do what it is asked for; the message says what that is."""


class StackLink:
    """Tells in which state each replica is, and has replicas killed."""

    def __init__(self, end: socket, replicas: Iterable[str]) -> None:
        self.states = dict.fromkeys(replicas, ProcessState.STARTING.value)
        """The state of each replica by its name, as far as it has been told."""
        self._end = end
        self._told = Event()
        """Set when states are told, and replaced by a new one."""

    def listen(self) -> None:
        """Receive the states of replicas; never returns."""
        while True:
            told = json.loads(self._end.recv(DATAGRAM_BYTES_MAX))
            self.states = {name: told[name] for name in self.states}
            before, self._told = self._told, Event()
            before.set()

    def kill(self, replica: str) -> None:
        """Have a replica killed, and return when it is dead.

        Raises:
            StackAwayError: it was not within `KILL_S_MAX`.
        """
        with Timeout(KILL_S_MAX, StackAwayError(f"ops/up has not killed replica {replica} within {KILL_S_MAX:g} s")):
            self._end.send(replica.encode())
            while self.states[replica] != ProcessState.KILLED.value:
                self._told.wait()
