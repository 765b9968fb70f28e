"""Reads what clients, processors, replicas and the final primary know of a run of a cluster."""

from collections.abc import Callable, Sequence

from ops.chaostest.client import HttpClient
from ops.chaostest.final_summary import ask_final_summary
from ops.chaostest.history import History, read_final_state
from ops.chaostest.load_generator import LoadGenerator
from ops.chaostest.moment_probe import MomentAnswers, MomentProbe, ask_at_once
from ops.chaostest.record_sources import RecordSources
from ops.chaostest.rest import is_at_rest
from ops.chaostest.rivals import ask_rivals
from ops.chaostest.summary_probe import SummaryProbe
from ops.clustertest.cluster import HostCluster
from ops.clustertest.plan import ADMIN_PORT_OFFSET, SIMULATOR_PORTS

MOMENT_MS_AGO = 1_500
"""At rest all replicas are asked for windows that ended this long before the question."""


def read_history(
    cluster: HostCluster,
    clients: LoadGenerator,
    probe: SummaryProbe,
    moments: MomentProbe,
    wait: Callable[[float], None],
) -> History:
    """Read all records at rest; `wait` lets some seconds pass.

    Raises:
        OpsError: something does not answer.
    """
    urls, sources = cluster.replica_urls, sources_of(cluster)
    at_rest = _ask_all_at_once(urls, sources)
    state = read_final_state(sources, urls)
    final_answers = [ask_final_summary(url, wait, may_stay_open=False) for url in urls]
    recorded = {row.correlation_id: (row.amount_minor, row.currency) for row in state.payments}
    return History(
        clients.offers,
        state,
        probe.answers,
        final_answers,
        [*moments.answers, *at_rest],
        rival_answers=ask_rivals(clients.offers, recorded, urls),
    )


def sources_of(cluster: HostCluster) -> RecordSources:
    """Tell where the records of a cluster are read."""
    address = cluster.plan.outside.address
    return RecordSources(
        cluster.database_url,
        {name: f"http://{address}:{port + ADMIN_PORT_OFFSET}" for name, port in SIMULATOR_PORTS.items()},
    )


def replicas_by_url(cluster: HostCluster) -> dict[str, tuple[str, str]]:
    """Tell the host and the role of each replica, by its address."""
    return {
        url: (host.name, replica.role)
        for host in cluster.hosts
        for url, replica in zip(host.replica_urls, host.replicas, strict=True)
    }


def has_come_to_rest(sources: RecordSources, clients: LoadGenerator) -> bool:
    """Tell whether every client has its answer, and all that was accepted has ended."""
    if clients.unfinished:
        return False
    return is_at_rest(sources, {offer.correlation_id for offer in clients.offers if offer.accepted}, ())


def _ask_all_at_once(urls: Sequence[str], sources: RecordSources) -> list[MomentAnswers]:
    """Ask every replica and the processors for the same window at the same moment, one replica after the other."""
    answers = []
    for url in urls:
        clients = [HttpClient(url), *map(HttpClient, sources.administrations.values())]
        try:
            processors = dict(zip(sources.administrations, clients[1:], strict=True))
            answers.append(ask_at_once(clients[0], processors, MOMENT_MS_AGO))
        finally:
            for client in clients:
                client.close()
    return [each for each in answers if each is not None]
