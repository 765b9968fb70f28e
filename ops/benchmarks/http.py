"""Measures the CPU of `POST /payments` in the gateway's worker, beside gunicorn's own gevent worker.

Both serve the same application, which accepts each payment at once: what is measured is reading a request, Falcon, the
resource, and writing the answer.
"""

import argparse
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from uuid import uuid4

import falcon
from prometheus_client import CollectorRegistry, Histogram

from actors.domain.payment import Payment
from actors.domain.records import PaymentState, Position
from actors.messages.intake import AcceptAnswer
from actors.queries import PaymentStatus
from gateway.payments import PaymentsResource
from gateway.sampled_histogram import BOUNDS_S, ONE_OF_MAX, SampledHistogram
from ops.environment import ROOT

WORKERS = {"gateway": "gateway.server.worker.GatewayWorker", "gevent": "gevent"}
"""Worker classes by name; the second is the baseline."""
CONNECTIONS = 32
ROUNDS = 5
PACED_PER_S = 180
"""Payments a second that one of three replicas gets at the event's end."""
PACED_S = 4.0
SATURATED_REQUESTS = 6400
WARM_UP_REQUESTS = 320
OBSERVED_REQUESTS = 200_000
START_S_MAX = 30.0
ANSWER = b"HTTP/1.1 202 Accepted\r\n"
_NS_PER_US = 1000


class InstantGateway:
    """Accepts every payment without keeping it."""

    def now_ms(self) -> int:
        """Give the wall clock in milliseconds since the epoch."""
        return time.time_ns() // 1_000_000

    def accept(self, _payment: Payment) -> AcceptAnswer:
        """Accept a payment at once."""
        return AcceptAnswer.ACCEPTED

    def payments(self, _state: PaymentState, _after: Position, _payments_max: int) -> tuple[PaymentStatus, ...]:
        """List nothing."""
        return ()


def application() -> falcon.App[falcon.Request, falcon.Response]:
    """Build what both workers serve; gunicorn calls it."""
    app = falcon.App()
    gateway = InstantGateway()
    app.add_route("/payments", PaymentsResource(gateway, gateway, Counter(), SampledHistogram()))
    return app


class Server:
    """A gunicorn process with one worker, and the connections to it."""

    def __init__(self, process: subprocess.Popen[bytes], connections: Sequence[socket.socket]) -> None:
        self._process = process
        self._connections = connections

    def cpu_ns(self) -> int:
        """Read the CPU time that gunicorn and its worker have used, from Linux's scheduler."""
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        threads = (thread for each in (pid, *children) for thread in Path(f"/proc/{each}/task").iterdir())
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads)

    def paced_us(self, requests: int) -> float:
        """Send requests one at a time at the event's rate; gives the CPU of one in microseconds."""
        began_ns = self.cpu_ns()
        due_s = time.monotonic()
        for number in range(requests):
            due_s += 1 / PACED_PER_S
            time.sleep(max(0.0, due_s - time.monotonic()))
            connection = self._connections[number % len(self._connections)]
            connection.sendall(_request())
            _expect_answer(connection)
        return (self.cpu_ns() - began_ns) / requests / _NS_PER_US

    def saturated_us(self, requests: int) -> float:
        """Keep a request waiting on every connection; gives the CPU of one in microseconds."""
        began_ns = self.cpu_ns()
        for _ in range(requests // len(self._connections)):
            for connection in self._connections:
                connection.sendall(_request())
            for connection in self._connections:
                _expect_answer(connection)
        return (self.cpu_ns() - began_ns) / requests / _NS_PER_US


def run(arguments: Sequence[str]) -> dict[str, object]:
    """Compare the CPU of one payment's request in both workers, in alternating rounds, paced and saturated."""
    parser = argparse.ArgumentParser(prog="ops/bench http", description=run.__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"default: {ROUNDS}")
    parser.add_argument("--seconds", type=float, default=PACED_S, help=f"of each paced run; default: {PACED_S:g}")
    parser.add_argument(
        "--requests", type=int, default=SATURATED_REQUESTS, help=f"of each saturated run; default: {SATURATED_REQUESTS}"
    )
    given = parser.parse_args(arguments)
    paced: dict[str, list[float]] = {name: [] for name in WORKERS}
    saturated: dict[str, list[float]] = {name: [] for name in WORKERS}
    with ExitStack() as stack:
        servers = {name: stack.enter_context(_serving(worker)) for name, worker in WORKERS.items()}
        for server in servers.values():
            server.saturated_us(WARM_UP_REQUESTS)
        for _ in range(given.rounds):
            for name, server in servers.items():
                paced[name].append(server.paced_us(max(1, round(given.seconds * PACED_PER_S))))
                saturated[name].append(server.saturated_us(max(CONNECTIONS, given.requests)))
    figures = {
        manner: {name: round(median(runs), 1) for name, runs in measured.items()}
        for manner, measured in (("paced", paced), ("saturated", saturated))
    }
    return {
        "rounds": given.rounds,
        "cpu_us_per_request": figures,
        "ratio_to_baseline": {manner: round(us["gateway"] / us["gevent"], 3) for manner, us in figures.items()},
        "histogram_us_per_request": _histogram_us(given.rounds),
    }


def _histogram_us(rounds: int) -> dict[str, float]:
    """Measure what a histogram of durations costs a request: the library's, and the gateway's at its two extremes."""
    library = Histogram("duration", "Of nothing", buckets=BOUNDS_S, registry=CollectorRegistry())
    every, sampled = SampledHistogram(1), SampledHistogram()
    while sampled.one_of < ONE_OF_MAX:
        _observe(sampled, CONNECTIONS)
    # The sampled histogram comes first: after a pause it would observe every request again.
    measured: dict[str, Callable[[int], None]] = {
        f"one in {ONE_OF_MAX}": lambda requests: _observe(sampled, requests),
        "prometheus_client": lambda requests: _observe_all(library, requests),
        "every request": lambda requests: _observe(every, requests),
    }
    return {name: round(median(_cpu_us(observe) for _ in range(rounds)), 3) for name, observe in measured.items()}


def _cpu_us(observe: Callable[[int], None]) -> float:
    began_ns = time.process_time_ns()
    observe(OBSERVED_REQUESTS)
    return (time.process_time_ns() - began_ns) / OBSERVED_REQUESTS / _NS_PER_US


def _observe(histogram: SampledHistogram, requests: int) -> None:
    for _ in range(requests):
        sample = histogram.begin()
        if sample:
            histogram.end(sample)


def _observe_all(histogram: Histogram, requests: int) -> None:
    for _ in range(requests):
        began_s = time.monotonic()
        histogram.observe(time.monotonic() - began_s)


@contextmanager
def _serving(worker: str) -> Iterator[Server]:
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        command = [sys.executable, "-m", "gunicorn", "-c", str(ROOT / "ops" / "gunicorn.conf.py")]
        process = subprocess.Popen(  # noqa: S603 - our own command
            [*command, "-k", worker, "-b", f"fd://{listener.fileno()}", "ops.benchmarks.http:application()"],
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "http")])},
            pass_fds=[listener.fileno()],
        )
        stack.callback(process.wait)
        stack.callback(process.terminate)
        connections = [
            stack.enter_context(socket.create_connection(listener.getsockname(), START_S_MAX))
            for _ in range(CONNECTIONS)
        ]
        yield Server(process, connections)


def _request() -> bytes:
    body = b'{"correlationId":"%b","amount":19.90}' % str(uuid4()).encode()
    return (
        b"POST /payments HTTP/1.1\r\nHost: localhost:9999\r\nUser-Agent: k6/1.0\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\nAccept-Encoding: gzip\r\n\r\n%b" % (len(body), body)
    )


def _expect_answer(connection: socket.socket) -> None:
    answer = connection.recv(4096)
    if not answer.startswith(ANSWER):
        raise ConnectionError(f"the worker answered {answer[:200]!r}")
