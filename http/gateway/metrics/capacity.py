"""Metrics of everything that has a bound, each beside its bound, and of the disk and the process."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from actors.domain.level import Level
from actors.domain.replica_status import ReplicaUsage
from actors.measurements import Measurements
from actors.messages.router import RouterStats
from gateway.metrics.families import Labels, bounded, histogram
from gateway.server.admission import ClientLevels


def capacity(measured: Measurements, stats: RouterStats | None, clients: ClientLevels | None) -> Iterable[Metric]:
    """Tell how full the replica is; what nobody answered is left out."""
    intake, gossip = measured.intake, measured.gossip
    if intake is not None:
        yield from _alone("fiel_journal_payments", "Payments that the journal holds", intake.journal)
        ids: dict[Labels, Level] = {("accepted",): intake.accepted_ids, ("heard",): intake.heard_ids}
        yield from bounded(
            "fiel_known_ids", "Ids whose amounts are remembered, by where they were accepted", ids, ["source"]
        )
    if stats is not None:
        yield from _alone("fiel_payments_in_memory", "Payments in the router's memory", stats.in_memory)
        yield from _alone(
            "fiel_late_charge_checks",
            "Ended payments that will be looked up once more, in case of a late charge",
            stats.rechecks,
        )
    adopted = CounterMetricFamily(
        "fiel_payments_adopted",
        "Payments taken over from replicas that are gone, or from an earlier run",
        labels=["source"],
    )
    if stats is not None:
        adopted.add_metric(["rows"], stats.adopted)
    if intake is not None:
        adopted.add_metric(["journals"], intake.taken_over)
    if adopted.samples:
        yield adopted
    if gossip is not None:
        yield from _alone(
            "fiel_untold_payments", "Accepted payments that were not announced to the other replicas yet", gossip.untold
        )
        yield from _alone(
            "fiel_ids_asked_for", "Unknown ids that the other replicas are being asked for", gossip.ids_asked
        )
        yield from _alone(
            "fiel_histories_asked_for",
            "Payments whose history the other replicas are being asked for",
            gossip.histories_asked,
        )
    if clients is not None:
        yield from _alone("fiel_connections", "Open connections of clients", clients.connections)
        yield from _alone(
            "fiel_unfinished_request_bytes",
            "Bytes received of requests that are not complete",
            clients.unfinished_bytes,
        )
        yield from _alone(
            "fiel_untaken_answer_bytes", "Bytes of answers that clients have not taken yet", clients.untaken_bytes
        )
    yield from _alone("fiel_readers_waiting", "Clients that wait for summaries or lists", measured.readers)
    yield from _alone("fiel_feed_consumers", "Clients that read the feed of ended payments", measured.feed_consumers)
    yield GaugeMetricFamily(
        "fiel_feed_behind_seconds",
        "How long an open transaction has held the feed back; 0 while nobody reads it",
        value=measured.feed_behind_s,
    )
    yield from _alone("fiel_postgres_pool_connections", "Connections for reads that are in use", measured.pool)
    mailboxes: dict[Labels, Level] = {(name,): level for name, level in measured.mailboxes.items()}
    yield from bounded("fiel_mailbox_messages", "Messages that wait in an actor's mailbox", mailboxes, ["actor"])
    yield CounterMetricFamily(
        "fiel_actor_restarts", "Restarts of all actors, because one of them had died", value=measured.restarts
    )
    yield histogram("fiel_journal_sync_seconds", "Duration of syncs of the journal", {(): measured.syncs})
    yield from _usage(measured.usage)


def _alone(name: str, text: str, level: Level) -> Iterable[Metric]:
    return bounded(name, text, {(): level})


def _usage(usage: ReplicaUsage) -> Iterable[Metric]:
    yield GaugeMetricFamily("fiel_journal_bytes", "Size of the journal on the disk", value=usage.journal_bytes)
    yield GaugeMetricFamily("fiel_memory_bytes", "Resident memory of this process", value=usage.memory_bytes)
    if usage.memory_bytes_max is not None:
        yield GaugeMetricFamily(
            "fiel_memory_bytes_max", "Upper bound of fiel_memory_bytes", value=usage.memory_bytes_max
        )
