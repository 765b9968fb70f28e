"""A simulated processor on real sockets, with a clock that the test moves."""

import asyncio
import heapq
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from functools import wraps
from itertools import count
from typing import Any, ParamSpec
from uuid import uuid4

import msgspec
import uvloop

from ops.simulator.ledger_file import LedgerFile
from ops.simulator.server import SimulatorOptions, SimulatorServer

DEADLINE_S = 20
TOKEN = "123"
INSTANT = "2025-07-15T12:34:56.789Z"

Arguments = ParamSpec("Arguments")


def in_loop(test: Callable[Arguments, Coroutine[Any, Any, None]]) -> Callable[Arguments, None]:
    @wraps(test)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(asyncio.wait_for(test(*args, **kwargs), DEADLINE_S))

    return run


class ManualTimers:
    """Timers that fire when the test moves the clock; a delay of zero fires in the next turn of the loop."""

    def __init__(self) -> None:
        self._now_s = 1_000.0
        self._alarms: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = count()
        self._set = asyncio.Event()

    def time(self) -> float:
        return self._now_s

    def call_later(self, delay: float, callback: Callable[[], object], /) -> object:
        if delay == 0:
            return asyncio.get_running_loop().call_soon(callback)
        heapq.heappush(self._alarms, (self._now_s + delay, next(self._numbers), callback))
        self._set.set()
        return None

    async def until_set(self, alarms: int = 1) -> None:
        while len(self._alarms) < alarms:
            self._set.clear()
            await self._set.wait()

    def advance(self, seconds: float) -> None:
        end_s = self._now_s + seconds
        while self._alarms and self._alarms[0][0] <= end_s:
            self._now_s, _, callback = heapq.heappop(self._alarms)
            callback()
        self._now_s = end_s


@dataclass(frozen=True)
class RawAnswer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - a test knows what it asked for
        return msgspec.json.decode(self.body)


class RawClient:
    """One connection to the simulator."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, port: int) -> "RawClient":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def send(self, method: str, target: str, body: object = None, token: str | None = TOKEN) -> None:
        content = body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)
        authority = f"X-Rinha-Token: {token}\r\n" if token else ""
        head = f"{method} {target} HTTP/1.1\r\nHost: here\r\n{authority}Content-Length: {len(content)}\r\n\r\n"
        self.send_raw(head.encode() + content)

    def send_raw(self, content: bytes) -> None:
        self._writer.write(content)

    async def receive(self) -> RawAnswer:
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in head[1:] if line)
        body = await self._reader.readexactly(int(headers.get("Content-Length", 0)))
        return RawAnswer(int(head[0].split(" ")[1]), headers, body)

    async def receive_raw(self, size: int) -> bytes:
        return await self._reader.readexactly(size)

    async def rest(self) -> bytes:
        return await self._reader.read()

    async def call(self, method: str, target: str, body: object = None, token: str | None = TOKEN) -> RawAnswer:
        self.send(method, target, body, token)
        return await self.receive()

    async def close(self) -> None:
        self._writer.close()
        with suppress(ConnectionError):  # the other side may have been faster
            await self._writer.wait_closed()


class RunningSimulator:
    """A running simulator, and clients that are closed with it."""

    def __init__(self, server: SimulatorServer, timers: ManualTimers) -> None:
        self.server = server
        self.timers = timers
        self._clients: list[RawClient] = []

    async def client(self, port: int | None = None) -> RawClient:
        client = await RawClient.connect(port or self.server.port)
        self._clients.append(client)
        return client

    async def admin(self, method: str, target: str, body: object = None) -> RawAnswer:
        return await (await self.client(self.server.admin_port)).call(method, target, body)

    async def inject(self, **faults: object) -> None:
        answer = await self.admin("PUT", "/admin/faults", faults)
        assert answer.status == 200, answer.body

    async def injected(self) -> dict[str, int]:
        counts = (await self.admin("GET", "/admin/faults")).json["injected"]
        return {kind: number for kind, number in counts.items() if number}

    async def stored(self) -> list[str]:
        lines = (await self.admin("GET", "/admin/payments")).body.splitlines()
        return [msgspec.json.decode(line)["correlationId"] for line in lines]

    async def close(self) -> None:
        for client in self._clients:
            await client.close()
        await self.server.stop()


@asynccontextmanager
async def simulator(
    ledger_file: LedgerFile | None = None, fee: str = "0.05", port: int = 0
) -> AsyncIterator[RunningSimulator]:
    timers = ManualTimers()
    server = SimulatorServer(SimulatorOptions(Decimal(fee), port=port, token=TOKEN), ledger_file, timers)
    await server.start()
    running = RunningSimulator(server, timers)
    try:
        yield running
    finally:
        await running.close()


def payment(amount: object = 19.9, requested_at: str = INSTANT, correlation_id: str | None = None) -> dict[str, object]:
    return {"correlationId": correlation_id or str(uuid4()), "amount": amount, "requestedAt": requested_at}


def correlation_id(body: dict[str, object]) -> str:
    return str(body["correlationId"])
