"""`python -m ops.chaostest.crowd`: clients that are bad neighbours, in a process beside that of the measuring clients.

Each of its many members opens a connection, does one bad thing with it, and comes again at once when it has ended.
Once a second, the process prints how many connections are open and how many were opened so far. It is ended by a
signal, or with the process that started it.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from random import Random
from typing import NoReturn
from urllib.parse import urlsplit
from uuid import UUID

CONNECTS_PER_S_MAX = 50
"""How many connections a crowd opens in a second, so that clients that are turned away do not come in a tight loop."""
CONNECT_S_MAX = 5.0
GIVES_UP_S = 0.05
"""How long a heavy reader waits for its summary."""
BODY_BYTES = 16_000
"""The announced length of a half-sent body, which is nearly the longest allowed. All but its last byte is sent."""
HEAD_BYTES_OVERSIZED = 64 * 1024
UNREAD_REQUESTS = 50
"""Requests that are sent at once by a client that never reads."""
NUISANCE_S_MAX = 2.0
"""How long a nuisance waits for its answer."""
NUISANCE_PAUSE_S = 0.5
READ_BYTES = 65_536
NICE = 10
"""By how much its priority is lower than that of the measuring clients and of the gateway."""
STATES = ("accepted", "unknown", "settled", "declined", "mismatched")

Visit = Callable[[socket.socket, Random], Awaitable[None]]
"""What a member does with a connection that is open; it ends with the connection."""


async def idle(client: socket.socket, _rng: Random) -> None:
    """Say nothing until the gateway hangs up."""
    await _until_closed(client)


async def half_sent(client: socket.socket, _rng: Random) -> None:
    """Send a body up to its last byte, and wait until the gateway hangs up."""
    head = _head("POST", "/payments", ("Content-Type: application/json", f"Content-Length: {BODY_BYTES}"))
    await _send(client, head + b" " * (BODY_BYTES - 1))
    await _until_closed(client)


async def slow_sender(client: socket.socket, rng: Random) -> None:
    """Send a payment, a byte a second."""
    body = b'{"correlationId":"%s","amount":1}' % str(_draw_id(rng)).encode()
    head = _head("POST", "/payments", ("Content-Type: application/json", f"Content-Length: {len(body) + 1}"))
    for byte in head + body:
        await _send(client, bytes([byte]))
        await asyncio.sleep(1)


async def never_reading(client: socket.socket, rng: Random) -> None:
    """Ask again and again, for something long, short or in a file, and read no answer."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    request = rng.choice(
        (
            _head("GET", "/payments?state=settled&limit=500"),
            _head("GET", "/livez"),
            # This field sends the request another way through the gateway.
            _head("GET", "/docs/scalar.js", ("TE: trailers",)),
        )
    )
    while True:
        await _send(client, request * UNREAD_REQUESTS)


async def heavy_reader(client: socket.socket, _rng: Random) -> None:
    """Ask for a summary over everything, and give up after `GIVES_UP_S`."""
    async with asyncio.timeout(GIVES_UP_S):
        await _send(client, _head("GET", "/payments-summary"))
        await _receive(client)


async def nuisance(client: socket.socket, rng: Random) -> None:
    """Ask for a list, for an unknown payment, or for something senseless; come again half a second later."""
    garbage = rng.randbytes(200)
    request = rng.choice(
        (
            _head("GET", f"/payments?state={rng.choice(STATES)}&limit=500"),
            _head("GET", f"/payments/{_draw_id(rng)}"),
            _head("POST", "/payments", ("Content-Type: application/json", f"Content-Length: {len(garbage)}")) + garbage,
            _head("POST", "/payments", ("Content-Type: application/json", "Content-Length: 999999999999")),
            _head("GET", "/readyz", ("X-Oversized: " + "a" * HEAD_BYTES_OVERSIZED,)),
            _head("GET", "/readyz", [f"Accept: a/{rng.random()}{',a/b' * 1900}"] * 6),
            _head("GET", "/readyz", (f"X-{rng.getrandbits(64)}{'a' * 4000}: a",)),
            garbage + b"\r\n\r\n",
        )
    )
    async with asyncio.timeout(NUISANCE_S_MAX):
        await _send(client, request)
        await _receive(client)
    await asyncio.sleep(NUISANCE_PAUSE_S)


KINDS: Mapping[str, Visit] = {
    visit.__name__: visit for visit in (idle, half_sent, slow_sender, never_reading, heavy_reader, nuisance)
}
"""The kinds of members, by their names."""


class Crowd:
    """Members of one kind, which share a bound on how often they come."""

    def __init__(self, visit: Visit, addresses: Sequence[tuple[str, int]], count: int, seed: int) -> None:
        self.open = 0
        """How many connections are open."""
        self.opened = 0
        """How many were opened so far."""
        self._visit = visit
        self._addresses = addresses
        self._count = count
        self._seed = seed
        self._turns = itertools.count()
        self._began_s = 0.0

    async def stay(self) -> NoReturn:
        """Let all members come again and again."""
        self._began_s = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as members:
            for number in range(self._count):
                members.create_task(self._come_again(number))
        raise AssertionError("members never end")

    async def _come_again(self, number: int) -> NoReturn:
        rng = Random(f"{self._seed} member {number}")  # noqa: S311 - no secret
        while True:
            await self._turn()
            client = socket.socket()
            client.setblocking(False)  # noqa: FBT003 - the name of the method says it
            with contextlib.suppress(OSError), client:
                async with asyncio.timeout(CONNECT_S_MAX):
                    await asyncio.get_running_loop().sock_connect(client, rng.choice(self._addresses))
                self.open += 1
                self.opened += 1
                try:
                    await self._visit(client, rng)
                finally:
                    self.open -= 1

    async def _turn(self) -> None:
        """Wait until one more connection may be opened; turns that were not used are lost."""
        now_s = asyncio.get_running_loop().time()
        turn_s = self._began_s + next(self._turns) / CONNECTS_PER_S_MAX
        if turn_s < now_s:
            self._began_s += now_s - turn_s
        else:
            await asyncio.sleep(turn_s - now_s)


async def _until_closed(client: socket.socket) -> None:
    while await asyncio.get_running_loop().sock_recv(client, READ_BYTES):
        pass


async def _receive(client: socket.socket) -> None:
    await asyncio.get_running_loop().sock_recv(client, READ_BYTES)


async def _send(client: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(client, data)


def _head(method: str, path: str, fields: Sequence[str] = ()) -> bytes:
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: gateway", *fields, "", "")).encode()


def _draw_id(rng: Random) -> UUID:
    return UUID(int=rng.getrandbits(128), version=4)


async def _tell(crowd: Crowd) -> NoReturn:
    while True:
        await asyncio.sleep(1)
        sys.stdout.write(json.dumps({"open": crowd.open, "opened": crowd.opened}) + "\n")
        sys.stdout.flush()


async def _stay(crowd: Crowd) -> None:
    await asyncio.gather(crowd.stay(), _tell(crowd))


def main(arguments: Sequence[str]) -> None:
    """Be a crowd until the process is ended."""
    parser = argparse.ArgumentParser(prog="ops.chaostest.crowd", description=main.__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--url", action="append", required=True, help="of a replica; may be given again")
    parser.add_argument("--count", type=int, required=True, help="members")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    addresses = [(parts.hostname or "", parts.port or 80) for parts in map(urlsplit, given.url)]
    # The crowd stands for clients on other machines, which would use CPUs of their own.
    os.nice(NICE)
    asyncio.run(_stay(Crowd(KINDS[given.kind], addresses, given.count, given.seed)))


if __name__ == "__main__":
    main(sys.argv[1:])
