"""A client keeps its connections, measures from the send, and gives up in time."""

import asyncio
import socket
from collections.abc import Iterator

from ops.loadtest.client import ANSWER_S_MAX, LoadClient
from tests.ops.loadtest.gateway import Answer, FakeGateway, listening
from tests.ops.simulator.harness import DEADLINE_S, in_loop


def answers(status: int) -> FakeGateway:
    return FakeGateway(lambda _method, _path, body: (status, {"body": body.decode()}))


@in_loop
async def test_requests_one_after_the_other_share_a_connection() -> None:
    gateway = answers(200)
    async with listening(gateway) as url:
        client = LoadClient(url)
        bodies = [(await client.ask("POST", "/x", b"%d" % number)).body for number in range(3)]
        assert bodies == [b'{"body": "%d"}' % number for number in range(3)]
        assert gateway.connections == 1
        client.close()


@in_loop
async def test_requests_at_once_have_a_connection_each() -> None:
    gateway = answers(200)
    async with listening(gateway) as url:
        client = LoadClient(url)
        await asyncio.gather(*(client.ask("GET", "/x") for _ in range(5)))
        assert gateway.connections == 5
        client.close()


@in_loop
async def test_the_latency_of_what_succeeds_is_kept() -> None:
    for status, kept in ((200, 1), (202, 1), (302, 1), (400, 0), (503, 0)):
        async with listening(answers(status)) as url:
            latencies_ms: list[float] = []
            client = LoadClient(url, latencies_ms)
            assert (await client.ask("GET", "/x")).status == status
            assert len(latencies_ms) == kept
            client.close()


@in_loop
async def test_after_a_broken_connection_the_next_request_opens_one() -> None:
    turns: Iterator[Answer | None] = iter((None, (200, {})))

    def answer(_method: str, _path: str, _body: bytes) -> Answer | None:
        return next(turns)

    gateway = FakeGateway(answer)
    async with listening(gateway) as url:
        client = LoadClient(url)
        assert [(await client.ask("GET", "/x")).status for _ in range(2)] == [0, 200]
        assert gateway.connections == 2
        client.close()


@in_loop
async def test_a_connection_that_the_server_closed_while_it_was_idle_is_made_anew() -> None:
    def answer_one(listener: socket.socket) -> socket.socket:
        connection, _ = listener.accept()
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        return connection

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(DEADLINE_S / 4)
        client = LoadClient(f"http://127.0.0.1:{listener.getsockname()[1]}")
        answering = asyncio.create_task(asyncio.to_thread(answer_one, listener))
        assert (await client.ask("POST", "/payments")).status == 200
        connection = await answering
        answering = asyncio.create_task(asyncio.to_thread(answer_one, listener))
        await asyncio.sleep(0)
        # From here to the next request the loop has no turn to notice what the kernel knows.
        connection.close()
        assert (await client.ask("POST", "/payments")).status == 200
        (await answering).close()
        client.close()


@in_loop
async def test_an_answer_that_does_not_come_is_given_up() -> None:
    release = asyncio.Event()

    async def hold(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    try:
        answer = await LoadClient(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}").ask("GET", "/x")
    finally:
        release.set()
        server.close()
        await server.wait_closed()
    assert answer.status == 0
    timer_step_s = 0.001
    assert answer.received_s - answer.sent_s >= ANSWER_S_MAX - timer_step_s
