"""Asks the Patronis of a cluster for its state, and for switchovers and failovers."""

from typing import Any

from ops.clustertest.plan import PATRONI_PORT, ClusterPlan
from ops.clustertest.probes import ask_http

OK = 200
SWITCHOVER_S_MAX = 30
REINITIALIZE_S_MAX = 3


class PatroniView:
    """Patroni's REST interface, on the first host that answers."""

    def __init__(self, plan: ClusterPlan) -> None:
        self._plan = plan

    def members(self) -> list[dict[str, Any]]:
        """Return what the first Patroni that answers tells of all: `name`, `role`, `state`, `timeline`, `lag`."""
        for host in self._plan.hosts:
            status, told = ask_http(host.address, PATRONI_PORT, "GET", "/cluster", timeout_s=1)
            if status == OK and isinstance(told, dict):
                return list(told.get("members", ()))
        return []

    def primary(self) -> str | None:
        """Return the name of the host that says that it is the primary, or None while none does."""
        for host in self._plan.hosts:
            if ask_http(host.address, PATRONI_PORT, "GET", "/primary", timeout_s=1)[0] == OK:
                return host.name
        return None

    def timeline(self) -> int | None:
        """Return the timeline of the primary, which each failover and switchover raises; None while there is none."""
        return next((each.get("timeline") for each in self.members() if each["role"] == "leader"), None)

    def is_healthy(self, *, synchronous: bool) -> bool:
        """Tell whether there is a primary and all others follow it, with `synchronous` one of them for its commits."""
        members = self.members()
        roles = sorted(each["role"] for each in members)
        expected = ["leader", "replica", "sync_standby"] if synchronous else ["leader", "replica", "replica"]
        timelines = {each.get("timeline") for each in members}
        return roles == expected and len(timelines) == 1 and self.primary() is not None

    def switchover(self, to: str | None = None) -> bool:
        """Let another host become the primary in good order; without `to`, Patroni chooses. Return whether it did."""
        leader = self.primary()
        if leader is None:
            return False
        body = {"leader": leader} | ({"candidate": to} if to else {})
        host = next(each for each in self._plan.hosts if each.name == leader)
        return ask_http(host.address, PATRONI_PORT, "POST", "/switchover", body, SWITCHOVER_S_MAX)[0] == OK

    def reinitialize(self, name: str) -> bool:
        """Let a standby delete what it has and copy the primary; return whether its Patroni has begun with it."""
        host = next(each for each in self._plan.hosts if each.name == name)
        body = {"force": True}
        return ask_http(host.address, PATRONI_PORT, "POST", "/reinitialize", body, REINITIALIZE_S_MAX)[0] == OK

    def failover(self, to: str) -> bool:
        """Promote a host, whether or not the primary is well; return whether Patroni did it."""
        for host in self._plan.hosts:
            status, _ = ask_http(host.address, PATRONI_PORT, "POST", "/failover", {"candidate": to}, SWITCHOVER_S_MAX)
            if status == OK:
                return True
        return False
