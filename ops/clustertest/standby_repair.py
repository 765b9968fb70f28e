"""Finds standbys that no longer come back by themselves, which an operator has to copy anew from the primary."""

from collections.abc import Mapping

from ops.clustertest.cluster_snapshot import STREAMING, ClusterSnapshot, MemberState

STUCK_S_MAX = 60.0
"""How long a standby may not follow. It is longer than any fault lasts, and than a start or `pg_rewind` takes."""


class StuckStandbys:
    """Remembers since when each standby does not follow the primary.

    Two things leave one behind for good. The primary may have removed the log that the standby needs. And where a
    standby was promoted behind Patroni's back, it may have begun a timeline with the number that the next real primary
    took: its history then contradicts that of all others. Patroni tries both again and again, without an end.
    """

    def __init__(self) -> None:
        self._since_s: dict[str, float] = {}

    def observe(self, members: Mapping[str, MemberState], now_s: float) -> list[str]:
        """Tell which standbys have not followed for `STUCK_S_MAX`, each once in that time.

        `now_s` is in monotonic seconds. Where no primary is known, nothing is known of the standbys either: their times
        begin anew.
        """
        primary = ClusterSnapshot(members).primary
        timeline = members[primary].timeline if primary is not None else None
        if timeline is None:
            self._since_s.clear()
            return []
        stuck = []
        for name, member in members.items():
            if name == primary or (member.state in STREAMING and member.timeline == timeline):
                self._since_s.pop(name, None)
            elif now_s - self._since_s.setdefault(name, now_s) >= STUCK_S_MAX:
                stuck.append(name)
                del self._since_s[name]
        return stuck
