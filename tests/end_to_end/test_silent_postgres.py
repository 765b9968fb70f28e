"""Actors are restarted while one of them waits for a Postgres that has fallen silent, and the process goes on."""

from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random
from uuid import UUID

import pytest
from psycopg.conninfo import make_conninfo

from actors.supervisor import HANG_S_MAX
from ops.chaostest.client import open_connection
from ops.chaostest.workload import OfferedAmount, OfferedPayment
from ops.stack.settings import StackOptions
from ops.stack.stack import Stack
from tests.actors.adapters.relay import Relay, to_postgres
from tests.end_to_end import planted
from tests.end_to_end.cluster import Cluster, GatewayClient, post_payment
from tests.waiting import wait_until

pytestmark = pytest.mark.long

SEED = 25


def test_an_actor_that_dies_while_others_sit_in_statements_ends_no_process(tmp_path: Path, database_url: str) -> None:
    rng = Random(SEED)
    payments = [OfferedPayment(UUID(int=rng.getrandbits(128), version=4), OfferedAmount(1990)) for _ in range(20)]
    with closing(Relay(to_postgres(database_url))) as relay:
        options = replace(
            StackOptions.on_reserved_ports(tmp_path, {"PLANTED_HANG_S_MAX": str(HANG_S_MAX)}),
            replicas=1,
            application="tests.end_to_end.planted:application()",
            database_url=make_conninfo(database_url, host="127.0.0.1", port=str(relay.port)),
        )
        with Stack(options) as stack:
            cluster, replica = Cluster(stack), stack.replica(1)
            GatewayClient(replica.url).post(payments[:10], connections=5)
            cluster.wait_for_settled(10)
            relay.freeze()
            for payment in payments[10:]:
                with open_connection(replica.url, 30) as connection:
                    assert post_payment(connection, payment).status == 202
            planted.fault_path(tmp_path, "1").write_text(planted.DIE_AT_AN_EXCHANGE)
            wait_until(lambda: any(text in replica.output() for text in ("actors died", "process ends")), replica.tail)
            relay.thaw()
            cluster.wait_for_settled(20)
            assert '"event":"actors died: all are restarted"' in replica.output()
            assert '"actors":["health"]' in replica.output()
            assert replica.output().count("the replica is running") == 1, "the same process goes on"
            assert Counter(cluster.charged_ids()) == Counter(payment.correlation_id for payment in payments)
