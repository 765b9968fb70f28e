"""A whole gateway of running processes, and a client that posts to it and audits it."""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote, urlsplit
from uuid import UUID

import msgpack

from ops.stack.settings import StackOptions
from ops.stack.stack import Stack
from ops.chaostest.stack_options import free_block

WAIT_S_MAX = 30.0
REPLICAS = 3
Summary = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Posted:
    """One payment as a client sends it."""

    correlation_id: UUID
    amount_cents: int
    form: str = "json"
    """`json`, `map` or `array`, the latter two in MessagePack."""

    def encode(self) -> tuple[bytes, str]:
        """Give body and content type."""
        amount = self.amount_cents / 100
        match self.form:
            case "json":
                return json.dumps(
                    {"correlationId": str(self.correlation_id), "amount": amount}
                ).encode(), "application/json"
            case "map":
                return msgpack.packb(
                    {"correlationId": str(self.correlation_id), "amount": amount}
                ), "application/msgpack"
            case _:
                return msgpack.packb([self.correlation_id.bytes, amount]), "application/msgpack"


@dataclass
class Client:
    """Posts payments over many connections and keeps the statuses of the answers."""

    url: str
    statuses: list[int] = field(default_factory=list)

    def post(self, payments: Sequence[Posted], connections: int = 1) -> None:
        """Post all of them, spread over this many connections."""
        threads = [threading.Thread(target=self._post, args=(payments[i::connections],)) for i in range(connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _post(self, payments: Sequence[Posted]) -> None:
        parts = urlsplit(self.url)
        with closing(HTTPConnection(parts.hostname or "", parts.port, timeout=WAIT_S_MAX)) as connection:
            for payment in payments:
                body, content_type = payment.encode()
                connection.request("POST", "/payments", body, {"Content-Type": content_type})
                response = connection.getresponse()
                response.read()
                self.statuses.append(response.status)


TOKEN = {"X-Rinha-Token": "123"}
"""What the processors' administration asks for; the gateway ignores it."""


def get(url: str) -> tuple[int, bytes]:
    """Ask once on a connection of its own."""
    return _request("GET", url)


def post(url: str) -> tuple[int, bytes]:
    """Post without a body, once, on a connection of its own."""
    return _request("POST", url)


def _request(method: str, url: str) -> tuple[int, bytes]:
    parts = urlsplit(url)
    with closing(HTTPConnection(parts.hostname or "", parts.port, timeout=WAIT_S_MAX)) as connection:
        connection.request(method, parts.path + (f"?{parts.query}" if parts.query else ""), headers=TOKEN)
        response = connection.getresponse()
        return response.status, response.read()


class House:
    """A stack with the questions that tests ask of it."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    def summary(self, base_url: str, window: tuple[str, str] | None = None) -> Summary:
        """Ask one replica for its summary."""
        query = f"?from={quote(window[0])}&to={quote(window[1])}" if window else ""
        status, body = get(f"{base_url}/payments-summary{query}")
        assert status == 200, body
        summary: Summary = json.loads(body)
        return summary

    def processors_summary(self, window: tuple[str, str] | None = None) -> Summary:
        """Ask the simulated processors themselves."""
        query = f"?from={quote(window[0])}&to={quote(window[1])}" if window else ""
        answer = {}
        for simulator in self.stack.simulators:
            url = f"{simulator.admin_url}/admin/payments-summary{query}"
            told = json.loads(get(url)[1])
            answer[simulator.name] = {key: told[key] for key in ("totalRequests", "totalAmount")}
        return answer

    def charges(self) -> list[tuple[UUID, int, str]]:
        """List every charge that any processor has booked: id, cents, name."""
        return [
            (UUID(row["correlationId"]), row["amountCents"], simulator.name)
            for simulator in self.stack.simulators
            for row in map(json.loads, get(f"{simulator.admin_url}/admin/payments")[1].splitlines())
        ]

    def charged_ids(self) -> list[UUID]:
        """List the id of every charge."""
        return [correlation_id for correlation_id, _, _ in self.charges()]

    def wait_for_settled(self, count: int) -> None:
        """Wait until this many payments are settled in the books."""
        wait_until(lambda: self.settled() == count, lambda: f"{self.settled()} of {count} settled")

    def settled(self) -> int:
        """How many payments the books hold, as the last replica says, which no test harms."""
        summary = self.summary(self.stack.replica_urls[-1])
        return int(sum(total["totalRequests"] for total in summary.values()))


def wait_until(holds: Callable[[], bool], tell: Callable[[], str] = lambda: "") -> None:
    """Ask again until it holds."""
    deadline_s = time.monotonic() + WAIT_S_MAX
    while not holds():
        assert time.monotonic() < deadline_s, f"not within {WAIT_S_MAX} s: {tell()}"
        threading.Event().wait(0.05)


@contextmanager
def house(state_dir: Path, **environment: str) -> Iterator[House]:
    """Start a gateway on free ports; a second start on the same state finds the data of the first."""
    with Stack(make_settings(state_dir, environment)) as stack:
        yield House(stack)


def make_settings(state_dir: Path, environment: dict[str, str]) -> StackOptions:
    """Choose free ports."""
    port = free_block(1 + REPLICAS)
    ports = [free_block(1) for _ in range(4)]
    return StackOptions(
        port=port,
        replicas=REPLICAS,
        state_dir=state_dir,
        processor_ports=(ports[0], ports[1]),
        admin_ports=(ports[2], ports[3]),
        environment={**os.environ, **environment},
    )
