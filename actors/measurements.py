"""Gathers what a replica has counted and measured, and how full it is, whenever its metrics are asked for."""

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from actors.domain.counted import Counted
from actors.domain.histogram import HistogramCounts
from actors.domain.level import Level
from actors.domain.replica_status import ReplicaUsage
from actors.errors import GatewayUnavailableError
from actors.messages.gossip import GetGossipStats, GossipStats
from actors.messages.intake import GetIntakeStats, IntakeStats
from actors.messages.persistence import GetWriteStats, WriteStats
from actors.ports import Recipient
from actors.supervisor import Supervisor
from actors.system import System

ASK_S_MAX = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurements:
    """What one replica has counted since its start, and how full it is; None where an actor does not answer."""

    counts: Counter[Counted]
    """What actors have counted."""
    writes: WriteStats | None
    intake: IntakeStats | None
    gossip: GossipStats | None
    mailboxes: Mapping[str, Level]
    """Messages that wait, by the actor's name."""
    readers: Level
    """Clients that wait for summaries and lists."""
    feed_consumers: Level
    """Clients that read the feed."""
    feed_behind_s: float
    """How long a transaction has held the feed back."""
    pool: Level
    """Connections to Postgres that answer questions now."""
    syncs: HistogramCounts
    """How long syncs of the journal took."""
    usage: ReplicaUsage
    restarts: int
    """How often the actors were started anew because one had died."""


def measure(system: System, supervisor: Supervisor | None) -> Measurements:
    """Ask every part; `supervisor` is None until the replica has started."""
    parts, actors = system.parts, system.actors
    return Measurements(
        counts=sum((each.counts for each in actors.values()), Counter()),
        writes=_ask(system.persistence, GetWriteStats()),
        intake=_ask(system.intake, GetIntakeStats()),
        gossip=_ask(system.gossip, GetGossipStats()),
        mailboxes={name: level for name, each in actors.items() if (level := each.mailbox) is not None},
        readers=system.queries.readers.level,
        feed_consumers=system.queries.feed.level,
        feed_behind_s=system.queries.feed.behind_s,
        pool=parts.database.lent,
        syncs=parts.sync_durations.counted(),
        usage=parts.usage(),
        restarts=0 if supervisor is None else supervisor.restarts,
    )


def _ask(actor: Recipient, question: object) -> Any:  # noqa: ANN401  # the answer's type depends on the question
    with suppress(GatewayUnavailableError):
        return actor.ask(question, ASK_S_MAX)
    return None
