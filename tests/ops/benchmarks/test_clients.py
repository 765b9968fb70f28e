"""Clients keep to their rate whatever they are told, and count what they are told."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from ops.benchmarks.clients import Answers, Clients

ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}"
CLOSING = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Server:
    """Answers each post with what `answer` makes of its number; None hangs up."""

    def __init__(self, answer: Callable[[int], bytes | None]) -> None:
        self.ids: list[str] = []
        self.connections = 0
        self._answer = answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"Content-Length: (\d+)", head)
                assert length is not None
                body = await reader.readexactly(int(length[1]))
                self.ids.append(body[18:54].decode())
                assert body == b'{"correlationId":"%s","amount":19.90}' % self.ids[-1].encode()
                answer = self._answer(len(self.ids))
                if answer is None:
                    break
                writer.write(answer)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def listening(*servers: Server) -> AsyncIterator[Clients]:
    doors = [await asyncio.start_server(server.serve, "127.0.0.1", 0) for server in servers]
    clients = Clients([door.sockets[0].getsockname()[1] for door in doors])
    try:
        yield clients
    finally:
        await clients.close()
        for door in doors:
            door.close()


def offer(payments: int, *servers: Server) -> Answers:
    async def run() -> Answers:
        async with listening(*servers) as clients:
            return await clients.offer(10_000, payments)

    return asyncio.run(run())


def test_every_replica_gets_its_share_on_connections_that_stand() -> None:
    servers = [Server(lambda _: ACCEPTED) for _ in range(3)]
    answers = offer(300, *servers)
    assert [len(server.ids) for server in servers] == [100, 100, 100]
    assert sorted(answers.accepted) == sorted(each for server in servers for each in server.ids)
    assert len(set(answers.accepted)) == len(answers.latencies_s) == 300
    assert answers.failed == 0
    assert all(server.connections <= 20 for server in servers)


def test_another_answer_than_202_has_failed() -> None:
    answers = offer(40, Server(lambda number: ACCEPTED if number % 4 else UNAVAILABLE))
    assert (len(answers.accepted), answers.failed, len(answers.latencies_s)) == (30, 10, 40)


def test_a_post_whose_connection_breaks_has_failed_and_the_next_one_connects_anew() -> None:
    answers = offer(100, Server(lambda number: ACCEPTED if number % 4 else None))
    assert (len(answers.accepted), answers.failed, len(answers.latencies_s)) == (75, 25, 75)


def test_a_server_may_close_after_an_answer() -> None:
    answers = offer(100, Server(lambda _: CLOSING))
    assert (len(answers.accepted), answers.failed) == (100, 0)


def test_where_nobody_listens_every_post_has_failed() -> None:
    async def run() -> Answers:
        clients = Clients([1])
        answers = await clients.offer(1_000, 5)
        await clients.close()
        return answers

    assert asyncio.run(run()).failed == 5
