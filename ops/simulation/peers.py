"""What replicas share without Postgres, in memory: health, their states, and the stream of accepted payments."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from actors.domain.happenings import Happening
from actors.domain.peers import PeerNews
from actors.domain.quorum import Opinion
from actors.domain.records import PollLease, ProcessorHealth, SharedHealth
from actors.domain.replica_status import HeardStatus, ReplicaStatus
from actors.domain.seconds import Second
from actors.domain.shared_status import SharedStatus
from actors.errors import HealthUnavailableError, PeersUnavailableError, StatusUnavailableError

HEALTH_TTL_S, OPINION_TTL_S = 15.0, 2.0


class MemoryBoard:
    """Fulfils `actors.ports.HealthBoard`, for all replicas at once; what is on it ends by `clock`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.taken = 0
        """How many leases were taken."""
        self.leases: dict[str, tuple[float, str]] = {}
        """The end and the token of each lease, by its key."""
        self.answers: dict[str, tuple[float, ProcessorHealth]] = {}
        """The health answer of each processor, and when it expires."""
        self.opinions: dict[tuple[str, str], tuple[float, Opinion]] = {}
        """The opinions by processor and replica, and when each expires."""
        self.gone = False
        """Whether every call fails."""

    def may_poll(self, processor: str, period_s: float) -> str | None:
        return self._lease(f"{processor} poll", period_s)

    def may_probe(self, processor: str, period_s: float) -> bool:
        return self._lease(f"{processor} probe", period_s) is not None

    def publish(self, health: ProcessorHealth) -> None:
        self._answer()
        self.answers[health.processor] = (self._clock() + HEALTH_TTL_S, health)

    def exchange(self, opinions: Sequence[Opinion]) -> SharedHealth:
        self._answer()
        now_s, own = self._clock(), {opinion.replica for opinion in opinions}
        for opinion in opinions:
            self.opinions[opinion.processor, opinion.replica] = (now_s + OPINION_TTL_S, opinion)
        return SharedHealth(
            tuple(answer for ends_s, answer in self.answers.values() if ends_s > now_s),
            tuple(
                self._aged(opinion, now_s + OPINION_TTL_S - ends_s)
                for ends_s, opinion in self.opinions.values()
                if ends_s > now_s and opinion.replica not in own
            ),
            tuple(
                PollLease(key.removesuffix(" poll"), token, ends_s - now_s)
                for key, (ends_s, token) in self.leases.items()
                if ends_s > now_s and key.endswith(" poll")
            ),
        )

    def ping(self) -> None:
        self._answer()

    def close(self) -> None:
        """Do nothing: there is no connection."""

    def evict(self) -> None:
        """Forget everything."""
        for kept in (self.leases, self.answers, self.opinions):
            kept.clear()

    def _aged(self, opinion: Opinion, shared_s_ago: float) -> Opinion:
        changed_s_ago = opinion.changed_s_ago
        return replace(opinion, changed_s_ago=None if changed_s_ago is None else changed_s_ago + shared_s_ago)

    def _lease(self, key: str, period_s: float) -> str | None:
        self._answer()
        ends_s, _ = self.leases.get(key, (0.0, ""))
        if self._clock() < ends_s:
            return None
        self.taken += 1
        self.leases[key] = (self._clock() + period_s, str(self.taken))
        return str(self.taken)

    def _answer(self) -> None:
        if self.gone:
            raise HealthUnavailableError("planted")


class MemoryChannel:
    """Fulfils `actors.ports.PeerChannel`: what one replica tells is heard by all others that are `connected`."""

    def __init__(self, connected: dict[str, "MemoryChannel"] | None = None, replica: str = "1") -> None:
        self.told: list[PeerNews] = []
        self.unheard: list[PeerNews] = []
        self.error: Exception | None = None
        """The error that every call raises, if there is one."""
        self._connected = {} if connected is None else connected
        self._connected[replica] = self

    def tell(self, news: PeerNews) -> None:
        self._answer()
        self.told.append(news)
        for channel in self._connected.values():
            if channel is not self:
                channel.unheard.append(news)

    def close(self) -> None:
        self.error = PeersUnavailableError("closed")

    def hear(self) -> list[PeerNews]:
        self._answer()
        heard, self.unheard = self.unheard, []
        return heard

    def _answer(self) -> None:
        if self.error is not None:
            raise self.error


class MemoryStatusBoard:
    """The states that replicas have told last."""

    def __init__(self) -> None:
        self.statuses: dict[str, ReplicaStatus] = {}
        self.seconds: dict[str, list[Second]] = {}
        self.happenings: list[Happening] = []
        self.error: StatusUnavailableError | None = None
        """The error that every call raises, if there is one."""

    def tell(self, status: ReplicaStatus, seconds: Sequence[Second], happenings: Sequence[Happening]) -> None:
        if self.error is not None:
            raise self.error
        self.statuses[status.replica] = status
        self.seconds.setdefault(status.replica, []).extend(seconds)
        self.happenings.extend(happenings)

    def leave(self, happening: Happening) -> None:
        if self.error is not None:
            raise self.error
        self.statuses.pop(happening.replica, None)
        self.happenings.append(happening)

    def hear(self, seconds_max: int) -> SharedStatus:
        if self.error is not None:
            raise self.error
        newest_ms = max((each.at_ms for each in self.statuses.values()), default=0)
        heard = (HeardStatus(each, (newest_ms - each.at_ms) / 1000) for each in self.statuses.values())
        seconds = {name: tuple(each[-seconds_max:]) for name, each in self.seconds.items()}
        return SharedStatus(tuple(heard), seconds, tuple(self.happenings))

    def close(self) -> None:
        """Nothing is open."""
