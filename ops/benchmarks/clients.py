"""Clients that post payments at a fixed rate on connections that stand, and cost little CPU themselves."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from random import Random
from uuid import UUID

from ops.benchmarks.connection import LoadConnection, open_load_connection

CONNECTIONS_PER_REPLICA = 20
ANSWER_S_MAX = 10.0
"""A post without an answer this long after the last post has failed."""
REQUEST = (
    b"POST /payments HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 71\r\n\r\n"
    b'{"correlationId":"%s","amount":19.90}'
)


@dataclass(slots=True)
class Answers:
    """What clients were told."""

    offered: int
    accepted: list[str] = field(default_factory=list)
    """Correlation ids of the payments that were answered with 202."""
    latencies_s: list[float] = field(default_factory=list)
    """Time from each post to its answer, of whatever status, including the wait for a free connection."""

    @property
    def failed(self) -> int:
        """Count the payments that got another answer than 202, or none."""
        return self.offered - len(self.accepted)


class Clients:
    """Clients of replicas, which offer each replica an equal share. All methods run in one event loop."""

    def __init__(self, ports: Sequence[int], seed: int = 1) -> None:
        """Prepare clients for the replicas that listen on these loopback ports; `seed` decides on the ids."""
        self._queues: list[asyncio.Queue[_Post]] = [asyncio.Queue() for _ in ports]
        self._chance = Random(seed)  # noqa: S311 - it has to repeat
        self._tasks = [
            asyncio.create_task(_serve(port, queue))
            for port, queue in zip(ports, self._queues, strict=True)
            for _ in range(CONNECTIONS_PER_REPLICA)
        ]

    async def offer(self, rate: float, payments: int) -> Answers:
        """Post payments at `rate` a second, whether or not earlier ones were answered; return when all were."""
        answers = Answers(payments)
        began_s = time.monotonic()
        for number in range(payments):
            pause_s = began_s + number / rate - time.monotonic()
            if pause_s > 0:
                await asyncio.sleep(pause_s)
            correlation_id = str(UUID(int=self._chance.getrandbits(128), version=4))
            self._queues[number % len(self._queues)].put_nowait(_Post(correlation_id, time.monotonic(), answers))
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                await asyncio.gather(*(queue.join() for queue in self._queues))
        except TimeoutError:
            pass  # What has no answer counts as failed.
        return answers

    async def close(self) -> None:
        """Hang up."""
        for task in self._tasks:
            task.cancel()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result


@dataclass(frozen=True, slots=True)
class _Post:
    correlation_id: str
    posted_at_s: float
    answers: Answers


async def _serve(port: int, posts: "asyncio.Queue[_Post]") -> None:
    """Carry out one post after the other on one connection, which is made anew after it broke."""
    connection = LoadConnection()
    try:
        while True:
            post = await posts.get()
            try:
                if not connection.is_open:
                    connection = await open_load_connection("127.0.0.1", port)
                answer = await connection.ask(REQUEST % post.correlation_id.encode())
            except OSError:
                continue
            finally:
                posts.task_done()
            post.answers.latencies_s.append(time.monotonic() - post.posted_at_s)
            if answer.status == HTTPStatus.ACCEPTED:
                post.answers.accepted.append(post.correlation_id)
    finally:
        connection.close()
