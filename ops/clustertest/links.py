"""The links of one host to the others: cut in one direction or both, slowed down, stalled and healed.

Lost packets are dropped in the host's own namespace by iptables, so that the sender gets no answer: neither a reset nor
"unreachable". The kernel's own delays (`netem`) are not available everywhere. So the connections of a slow link go
through a proxy on the host (`ops.clustertest.link_proxy`), which passes everything on some time later.
"""

import json
from enum import Enum
from pathlib import Path

from ops.clustertest.namespaces import inside, program, run
from ops.clustertest.plan import LINK_PROXY_PORT, Place

PROXY_MARK = "0x46"
"""The mark of the proxy's own connections, so that they are not redirected to it again."""
STALLED = "stalled"
"""Stands in the place of a delay: nothing is passed on until the link is healed."""


class Direction(Enum):
    """Which packets of a link are lost, as seen from its host."""

    BOTH = "both"
    OUT = "out"
    """Packets that the host sends are lost; it still hears the other."""
    IN = "in"
    """Packets that the other sends to the host are lost; the other still hears the host."""


class Links:
    """The links of one host, each to a place that is named by its address."""

    def __init__(self, host: Place, state: Path) -> None:
        """`state` is a file in which the proxy of this host reads the delays of its links."""
        self._host = host
        self._state = state
        self._cut: dict[str, Direction] = {}
        self._delays: dict[str, int | str] = {}

    @property
    def state_file(self) -> Path:
        """The file in which the proxy reads the delay in milliseconds for each address, or `STALLED`."""
        return self._state

    @property
    def disturbed(self) -> dict[str, str]:
        """What is wrong with links, in words, by the address that each leads to."""
        return {
            **{address: f"cut {direction.value}" for address, direction in self._cut.items()},
            **{address: f"slow {delay}" for address, delay in self._delays.items()},
        }

    def prepare(self) -> None:
        """Make the chains that the rules of this host stand in, in a new namespace, and the file of delays."""
        self._write_delays()
        for direction in ("INPUT", "OUTPUT"):
            self._iptables("-N", f"FIEL-{direction}")
            self._iptables("-A", direction, "-j", f"FIEL-{direction}")
        # This rule has no effect of its own. The kernel stops tracking connections with the last rule that needs that,
        # such as those of a slow link: connections through the proxy would then break when the link is healed.
        self._iptables("-A", "OUTPUT", "-m", "conntrack", "--ctstate", "ESTABLISHED")
        self._iptables("-t", "nat", "-N", "FIEL-SLOW")
        not_the_proxy = ("-m", "mark", "!", "--mark", PROXY_MARK)
        self._iptables("-t", "nat", "-A", "OUTPUT", "-p", "tcp", *not_the_proxy, "-j", "FIEL-SLOW")

    def cut(self, other: Place, direction: Direction = Direction.BOTH) -> None:
        """Lose all packets to and from another place, or those of one direction alone."""
        self._cut[other.address] = direction
        self._apply()

    def slow(self, other: Place, delay_ms: int) -> None:
        """Pass on everything on TCP connections that this host makes to another place `delay_ms` later, both ways.

        Connections that stand are reset, so that they are made anew through the proxy.
        """
        self._delay(other, delay_ms)

    def stall(self, other: Place) -> None:
        """Keep TCP connections to another place open, and let new ones be made, without passing anything on."""
        self._delay(other, STALLED)

    def heal(self, other: Place | None = None) -> None:
        """Undo what was done to the link to another place, or to all links.

        Connections that stand go on through the proxy, which passes on at once what it has held.
        """
        for broken in (self._cut, self._delays):
            if other is None:
                broken.clear()
            else:
                broken.pop(other.address, None)
        self._write_delays()
        self._apply()

    def _delay(self, other: Place, delay: int | str) -> None:
        is_new = other.address not in self._delays
        self._delays[other.address] = delay
        self._write_delays()
        self._apply()
        if is_new:
            self._reset(other)

    def _write_delays(self) -> None:
        self._state.parent.mkdir(parents=True, exist_ok=True)
        new = self._state.with_suffix(".new")
        new.write_text(json.dumps(self._delays))
        new.replace(self._state)

    def _apply(self) -> None:
        """Write all rules anew."""
        for chain, option, lost in (("FIEL-INPUT", "-s", Direction.IN), ("FIEL-OUTPUT", "-d", Direction.OUT)):
            self._iptables("-F", chain)
            for address, direction in self._cut.items():
                if direction in {Direction.BOTH, lost}:
                    self._iptables("-A", chain, option, address, "-j", "DROP")
        self._iptables("-t", "nat", "-F", "FIEL-SLOW")
        for address in self._delays:
            to_proxy = ("-j", "REDIRECT", "--to-ports", str(LINK_PROXY_PORT))
            self._iptables("-t", "nat", "-A", "FIEL-SLOW", "-p", "tcp", "-d", address, *to_proxy)

    def _reset(self, other: Place) -> None:
        """End all established TCP connections to another place, whichever side made them."""
        # A kernel without CONFIG_INET_DIAG_DESTROY ends none and says nothing: then only new connections are slow.
        run(*inside(self._host), program("ss"), "--kill", "--tcp", "dst", other.address)

    def _iptables(self, *arguments: str) -> None:
        run(*inside(self._host), program("iptables"), "--wait", *arguments)
