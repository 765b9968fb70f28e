"""A crowd of readers whose questions take long costs those who write nothing, and ends with its limits."""

from collections.abc import Iterator
from contextlib import closing
from uuid import uuid4

import gevent
import psycopg
import pytest
from gevent.lock import BoundedSemaphore

from actors.adapters.host_addresses import HostDirectory
from actors.adapters.postgres.connections import READ_S_MAX, Connections
from actors.adapters.postgres.feed import PostgresFeed
from actors.adapters.postgres.fence import Fence
from actors.adapters.postgres.leases import PostgresLeases
from actors.adapters.postgres.payments import PostgresPayments
from actors.adapters.runtime import GeventRuntime
from actors.errors import FielError, GatewayUnavailableError
from actors.messages.gossip import AskPeers
from actors.messages.intake import FindAccepted
from actors.messages.router import GetDriven
from actors.queries import PaymentQueries
from actors.summaries import ASKERS_MAX, AT_ONCE_MAX
from tests.actors.adapters.postgres.storage import DEADLINE_S, claim, settlement, uid
from tests.actors.fakes import NOW_MS, READING, Recorder, both

CLIENTS = 200
SUMS_RUN = (
    "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%spans%' AND pid <> pg_backend_pid()"
)


@pytest.fixture
def connections(database_url: str) -> Iterator[Connections]:
    """Connections of a replica whose writer and leaser are in use already."""
    with closing(Connections(database_url, HostDirectory())) as connections:
        for single in (connections.writer, connections.leaser):
            with single.use() as connection:
                connection.execute("SELECT 1")
        yield connections


def slow_down_sums(database_url: str) -> None:
    """Let whoever connects from now on wait long for each sum, as where a table is too large for memory."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute("CREATE SCHEMA slow")
        connection.execute(
            "CREATE VIEW slow.settlement_sum AS SELECT s.* FROM public.settlement_sum AS s, pg_sleep(60)"
        )
        connection.execute(f"ALTER DATABASE {name} SET search_path = slow, public".encode())


def running(server: psycopg.Connection) -> int:
    return len(server.execute(SUMS_RUN).fetchall())


def test_of_many_summaries_that_are_given_up_few_run_and_none_outlives_its_limit(
    database_url: str, connections: Connections
) -> None:
    fence = Fence("a")
    payments, leases = PostgresPayments(connections, fence), PostgresLeases(connections, fence, uuid4)
    epoch = leases.register(0, READING).epoch
    payments.write([], [], [settlement(1, requested_at_ms=NOW_MS - 10**9)])
    slow_down_sums(database_url)
    connections.open()
    queries = PaymentQueries(
        payments=payments,
        ends=PostgresFeed(connections),
        intake=Recorder({FindAccepted: None}),
        router=Recorder({GetDriven: None}),
        gossip=Recorder({AskPeers: 1}),
        lease=Recorder(),
        replica="a",
        processors=("default",),
        runtime=GeventRuntime(),
        make_turns=BoundedSemaphore,
    )
    with psycopg.connect(database_url, autocommit=True) as server:
        crowd = [gevent.spawn(queries.summary, number, NOW_MS - 1000) for number in range(CLIENTS)]
        with gevent.Timeout(DEADLINE_S):
            while running(server) < AT_ONCE_MAX:
                gevent.sleep(0.01)
        for number in range(2, 6):
            # A payment's way, its lease, and a look at a payment go on, each far within its limit.
            assert payments.write([claim(number)], [], [settlement(number - 1)]).claimed == (uid(number),)
            assert leases.beat(epoch, both(NOW_MS), READING).renewed
            # In a thread: without gevent's patches, who waits for a connection holds up the crowd's greenlets.
            look = gevent.get_hub().threadpool.spawn(payments.payment, uid(1), READ_S_MAX)
            assert look.get(timeout=DEADLINE_S) is not None
            assert running(server) <= AT_ONCE_MAX
        with gevent.Timeout(DEADLINE_S):
            gevent.joinall(crowd)
            while running(server):
                gevent.sleep(0.01)
    refusals = [each.exception for each in crowd]
    assert all(isinstance(each, FielError) for each in refusals)
    assert sum(isinstance(each, GatewayUnavailableError) for each in refusals) >= CLIENTS - ASKERS_MAX
