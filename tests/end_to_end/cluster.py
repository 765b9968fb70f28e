"""A whole gateway of running processes, and a client that posts payments to it and checks what became of them."""

import json
import os
import pwd
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import UUID

import psycopg

from ops.chaostest.client import ADMIN_TOKEN, HttpAnswer, HttpClient, open_connection
from ops.chaostest.workload import OfferedPayment
from ops.stack.ports import reserve_ports
from ops.stack.settings import StackOptions
from ops.stack.stack import Stack
from tests.pooler import PgBouncer
from tests.waiting import WAIT_S_MAX, wait_until

TOTALS = ("totalRequests", "totalAmount")
Summary = dict[str, dict[str, Any]]


@dataclass
class GatewayClient:
    """Posts payments over many connections and keeps the status of every answer."""

    url: str
    statuses: list[int] = field(default_factory=list)

    def post(self, payments: Sequence[OfferedPayment], connections: int = 1) -> None:
        """Post all payments, spread over the connections."""
        with ThreadPoolExecutor(connections) as pool:
            list(pool.map(self._post, [payments[number::connections] for number in range(connections)]))

    def _post(self, payments: Sequence[OfferedPayment]) -> None:
        with open_connection(self.url, WAIT_S_MAX) as connection:
            for payment in payments:
                self.statuses.append(post_payment(connection, payment).status)


def post_payment(connection: HttpClient, payment: OfferedPayment) -> HttpAnswer:
    """Post one payment once."""
    body = payment.body_format.encode(payment.correlation_id, payment.amount)
    return connection.ask("POST", "/payments", body, {"Content-Type": payment.body_format.content_type})


def get(url: str) -> tuple[int, bytes]:
    """Send a GET request on a new connection; return status and body."""
    return _request("GET", url)


def post(url: str) -> tuple[int, bytes]:
    """Send a POST request without a body on a new connection; return status and body."""
    return _request("POST", url)


def _request(method: str, url: str) -> tuple[int, bytes]:
    parts = urlsplit(url)
    with open_connection(url, WAIT_S_MAX) as connection:
        # The administration of the processors needs the token; the gateway ignores it.
        answer = connection.ask(method, parts._replace(scheme="", netloc="").geturl(), headers=ADMIN_TOKEN)
        return answer.status, answer.body


class Cluster:
    """A running stack, and what tests want to know of it."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    def summary(self, base_url: str, window: tuple[str, str] | None = None) -> Summary:
        """Ask one replica for its summary, over all time or within a window."""
        query = f"?from={quote(window[0])}&to={quote(window[1])}" if window else ""
        status, body = get(f"{base_url}/payments-summary{query}")
        assert status == 200, body
        return _read_summary(body)

    def processors_summary(self, window: tuple[str, str] | None = None) -> Summary:
        """Ask the simulated processors for the summary of what they have booked."""
        query = f"?from={quote(window[0])}&to={quote(window[1])}" if window else ""
        answer: dict[str, Any] = {}
        others: dict[str, Any] = {}
        for simulator in self.stack.simulators:
            url = f"{simulator.admin_url}/admin/payments-summary{query}"
            booked = json.loads(get(url)[1])
            answer[simulator.name] = {key: booked[key] for key in TOTALS}
            for code, in_currency in booked.get("currencies", {}).items():
                totals = others.setdefault(
                    code, {each.name: dict.fromkeys(TOTALS, 0) for each in self.stack.simulators}
                )
                totals[simulator.name] = {key: in_currency[key] for key in TOTALS}
        return answer | ({"currencies": others} if others else {})

    def charges(self) -> list[tuple[UUID, int, str, str]]:
        """List every charge that any processor has booked: id, minor units, currency, name of the processor."""
        return [
            (UUID(row["correlationId"]), row["amountMinor"], row.get("currency", "BRL"), simulator.name)
            for simulator in self.stack.simulators
            for row in map(json.loads, get(f"{simulator.admin_url}/admin/payments")[1].splitlines())
        ]

    def charged_ids(self) -> list[UUID]:
        """List the id of every charge."""
        return [correlation_id for correlation_id, *_ in self.charges()]

    def wait_for_settled(self, count: int) -> None:
        """Wait until this many payments are settled."""
        wait_until(lambda: self.settled() == count, lambda: f"{self.settled()} of {count} settled")

    def named_rows(self) -> int:
        """Return how many unsettled payments have a row that names a processor."""
        assert self.stack.postgres is not None
        with psycopg.connect(self.stack.postgres.url) as connection:
            (count,) = connection.execute("SELECT count(*) FROM claim WHERE processor IS NOT NULL").fetchone() or (0,)
        return int(count)

    def settled(self) -> int:
        """Return how many payments are settled, according to the last replica, which no test harms.

        A replica that just found no Postgres asks its clients to come again, and is asked again.
        """
        answers: list[tuple[int, bytes]] = []

        def is_told() -> bool:
            answers.append(get(f"{self.stack.replica_urls[-1]}/payments-summary"))
            return answers[-1][0] != 503

        wait_until(is_told, lambda: str(answers[-1]))
        status, body = answers[-1]
        assert status == 200, body
        summary = _read_summary(body)
        in_each = [summary, *summary.pop("currencies", {}).values()]
        return int(sum(total["totalRequests"] for totals in in_each for total in totals.values()))


def _read_summary(body: bytes) -> Summary:
    summary: Summary = json.loads(body)
    return summary


class PooledStack(Stack):
    """A stack whose replicas reach Postgres through PgBouncer."""

    pgbouncer: PgBouncer

    def replica_environment(self) -> dict[str, str]:
        """Name PgBouncer in the place of the server."""
        environment = super().replica_environment()
        return environment | {"DATABASE_URL": self.pgbouncer.url_of(environment["DATABASE_URL"])}


@contextmanager
def pooled_cluster(state_dir: Path, **environment: str) -> Iterator[tuple[Cluster, PgBouncer]]:
    """Run a gateway as on hosts of their own, with PgBouncer before Postgres."""
    servers = reserve_ports(2)
    options = replace(
        StackOptions.on_reserved_ports(state_dir / "stack", environment),
        separate_journals=True,
        server_ports=(servers[0], servers[1]),
    )
    user = pwd.getpwuid(os.geteuid()).pw_name
    pgbouncer = PgBouncer(state_dir / "pgbouncer", f"postgresql://{user}@127.0.0.1:{servers[0]}/postgres")
    pgbouncer.start()
    try:
        pgbouncer.wait_ready()
        stack = PooledStack(options)
        stack.pgbouncer = pgbouncer
        with stack:
            yield Cluster(stack), pgbouncer
    finally:
        pgbouncer.stop()


@contextmanager
def running_cluster(state_dir: Path, **environment: str) -> Iterator[Cluster]:
    """Run a gateway on reserved ports; a second run with the same state finds the data of the first."""
    with Stack(StackOptions.on_reserved_ports(state_dir, environment)) as stack:
        yield Cluster(stack)
