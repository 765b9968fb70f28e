"""The HTTP client of a game: as many standing connections to one server as it has requests under way."""

import asyncio
import time
from http import HTTPStatus
from urllib.parse import urlsplit

from ops import OpsError
from ops.benchmarks.connection import LoadAnswer, LoadConnection, open_load_connection

ANSWER_S_MAX = 1.5
"""How long the event's player waits for any answer, connecting included."""
NO_ANSWER = 0
"""The status of a request that has no answer, as in k6."""


class LoadClient:
    """A client of one server, which gives up an answer after `ANSWER_S_MAX`."""

    def __init__(self, url: str, latencies_ms: list[float] | None = None) -> None:
        """Prepare a client that does not connect yet.

        Args:
            url: the address of the server, of which the path does not count.
            latencies_ms: gets the latency of every request that succeeds, as k6 understands it; None to keep none.

        Raises:
            OpsError: the address cannot be used.
        """
        parts = urlsplit(url)
        if parts.scheme != "http" or parts.hostname is None:
            raise OpsError(f"{url} is no address such as http://127.0.0.1:9999")
        self.url = url
        self._host, self._port = parts.hostname, parts.port or 80
        self._fields = f" HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n".encode()
        self._latencies_ms = latencies_ms
        self._idle: list[LoadConnection] = []

    async def ask(self, method: str, path: str, body: bytes = b"", token: str | None = None) -> LoadAnswer:
        """Send one request, and return its answer; one with the status `NO_ANSWER` where there is none in time."""
        secret = b"" if token is None else b"X-Rinha-Token: %b\r\n" % token.encode()
        head = b"%b %b%b%bContent-Length: %d\r\n\r\n" % (
            method.encode(),
            path.encode(),
            self._fields,
            secret,
            len(body),
        )
        began_s = time.monotonic()
        connection = None
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                connection = await self._connection()
                answer = await connection.ask(head + body)
        except OSError:  # A timeout is one, too.
            if connection is not None:
                connection.close()
            return LoadAnswer(NO_ANSWER, b"", began_s, time.monotonic())
        self._idle.append(connection)
        if self._latencies_ms is not None and HTTPStatus.OK <= answer.status < HTTPStatus.BAD_REQUEST:
            self._latencies_ms.append((answer.received_s - answer.sent_s) * 1000)
        return answer

    def close(self) -> None:
        """Hang up; requests that are under way are not ended."""
        while self._idle:
            self._idle.pop().close()

    async def _connection(self) -> LoadConnection:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        return await open_load_connection(self._host, self._port)
