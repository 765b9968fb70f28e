"""A name that cannot be looked up holds up nothing: its last good address stays in use, and all others go on."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from random import Random
from uuid import UUID

import pytest
from psycopg.conninfo import make_conninfo

from actors.domain.processors import parse_processors
from ops.chaostest.client import open_connection
from ops.chaostest.workload import OfferedAmount, OfferedPayment
from ops.stack.ports import reserve_ports
from ops.stack.services import SimulatorProcess
from ops.stack.settings import StackOptions
from ops.stack.stack import Stack
from tests.actors.adapters.relay import Relay, to_postgres, to_redis
from tests.end_to_end import slow_names
from tests.end_to_end.cluster import Cluster, GatewayClient, get, post_payment
from tests.waiting import wait_until

pytestmark = pytest.mark.long

SEED = 17
PAYMENTS = 40
CONNECTIONS = 20
"""More than were open before, so that some of the calls need a new one."""


def make_payments(seed: int, count: int = PAYMENTS) -> list[OfferedPayment]:
    rng = Random(seed)
    return [OfferedPayment(UUID(int=rng.getrandbits(128), version=4), OfferedAmount(1990)) for _ in range(count)]


class NamedCluster:
    """One replica that knows its processors, Postgres and Redis by names alone, and their name server."""

    def __init__(self, state_dir: Path, postgres: Relay, redis: Relay, database_url: str) -> None:
        self._slow_path = slow_names.slow_path(state_dir)
        self._relays = {"postgres": postgres, "redis": redis}
        self._processor_ports = reserve_ports(4)
        default, fallback = self._processor_ports[:2]
        options = replace(
            StackOptions.on_reserved_ports(state_dir),
            replicas=1,
            application="tests.end_to_end.slow_names:application()",
            database_url=make_conninfo(database_url, host="localhost", port=str(postgres.port)),
            redis_url=f"redis://localhost:{redis.port}/0",
            processors=f"default=http://localhost:{default},0.05 fallback=http://localhost:{fallback},0.15",
        )
        self.stack = Stack(options)
        self.cluster = Cluster(self.stack)
        places = zip(parse_processors(options.processors or ""), self._processor_ports, strict=False)
        self.stack.simulators = [SimulatorProcess(each, port, port + 2, options) for each, port in places]
        for simulator in self.stack.simulators:
            simulator.start()
            simulator.wait_ready()

    def slow(self, *names: str) -> None:
        """Let look-ups of these names hang, and cut the connections that were made by them."""
        ports: list[int] = []
        for name in names:
            ports += self._processor_ports[:2] if name == "processors" else [self._relays[name].port]
        whole = self._slow_path.with_suffix(".new")
        whole.write_text("\n".join(map(str, ports)))
        whole.rename(self._slow_path)
        for name in names:
            if name != "processors":
                self._relays[name].cut()

    def check_all_are_accepted_and_settled(self, payments: list[OfferedPayment], settled_before: int) -> None:
        client = GatewayClient(self.stack.replica_urls[0])
        client.post(payments, CONNECTIONS)
        assert Counter(client.statuses) == {202: len(payments)}
        # Connections that were cut a moment ago are made anew: until then a summary may be refused.
        summary_url = f"{self.stack.replica_urls[0]}/payments-summary"
        wait_until(lambda: get(summary_url)[0] == HTTPStatus.OK, self.readiness)
        self.cluster.wait_for_settled(settled_before + len(payments))
        charged = Counter(self.cluster.charged_ids())
        assert [charged[payment.correlation_id] for payment in payments] == [1] * len(payments)

    def readiness(self) -> str:
        return get(f"{self.stack.replica_urls[0]}/readyz")[1].decode()

    def is_ok(self, part: str) -> bool:
        return bool(json.loads(self.readiness())["parts"][part] == "ok")


@pytest.fixture
def named(tmp_path: Path, database_url: str, redis_url: str) -> Iterator[NamedCluster]:
    with closing(Relay(to_postgres(database_url))) as postgres, closing(Relay(to_redis(redis_url))) as redis:
        made = NamedCluster(tmp_path, postgres, redis, database_url)
        try:
            yield made
        finally:
            made.stack.stop()


@pytest.mark.parametrize("names", [("processors",), ("postgres",), ("redis",), ("processors", "postgres", "redis")])
def test_where_a_name_cannot_be_looked_up_any_more_its_last_good_address_is_used(
    named: NamedCluster, names: tuple[str, ...]
) -> None:
    named.stack.start()
    with open_connection(named.stack.replica_urls[0], 30) as connection:
        assert post_payment(connection, make_payments(SEED, 1)[0]).status == 202
    named.cluster.wait_for_settled(1)
    named.slow(*names)
    named.check_all_are_accepted_and_settled(make_payments(SEED + 1), 1)
    wait_until(lambda: named.is_ok("postgres") and named.is_ok("redis"), named.readiness)
    log = named.stack.replica(1).output()
    assert [line for line in log.splitlines() if line.startswith((slow_names.SHARED, slow_names.IN_LOOP))] == []


def test_a_redis_whose_name_was_never_found_costs_no_payment_its_time(named: NamedCluster) -> None:
    named.slow("redis")
    named.stack.start()
    named.check_all_are_accepted_and_settled(make_payments(SEED), 0)
    assert get(f"{named.stack.replica_urls[0]}/readyz")[0] == 200
    assert not named.is_ok("redis")
