"""One HTTP connection of a client of load, which costs little CPU itself: asyncio's protocols and httptools' parser."""

import asyncio
import select
import time
from dataclasses import dataclass
from typing import cast

import httptools


@dataclass(frozen=True, slots=True)
class LoadAnswer:
    """A complete response, and when it came."""

    status: int
    body: bytes
    sent_s: float
    """When the request was handed to the kernel, on the monotonic clock."""
    received_s: float
    """When the last byte of the answer had been read, on the same clock."""


class LoadConnection(asyncio.Protocol):
    """One connection, with one request at a time; it is made by `open_load_connection`."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[LoadAnswer] | None = None
        self._body: list[bytes] = []
        self._sent_s = 0.0
        self._arrivals = select.poll()

    @property
    def is_open(self) -> bool:
        """Tell whether another request can be sent on it: its last one is answered, and the server has not hung up."""
        # The loop may not have noticed yet that the server hung up; between requests nothing else can arrive.
        return self._transport is not None and not self._transport.is_closing() and not self._arrivals.poll(0)

    async def ask(self, request: bytes) -> LoadAnswer:
        """Send a request and wait for its answer.

        Raises:
            OSError: the connection broke before there was one.
        """
        self._answer = asyncio.get_running_loop().create_future()
        if self._transport is None:
            raise ConnectionError
        self._body.clear()
        self._sent_s = time.monotonic()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        """Hang up; may be called again."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; the loop calls it once connected."""
        # uvloop's transports are not subclasses of asyncio's, but behave alike.
        self._transport = cast("asyncio.WriteTransport", transport)
        self._arrivals.register(transport.get_extra_info("socket"), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        """Parse what has come; the loop calls it."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def on_body(self, part: bytes) -> None:
        """Keep a part of the body; the parser calls it."""
        self._body.append(part)

    def on_message_complete(self) -> None:
        """Give the answer to the caller of `ask`; the parser calls it at the end of each response."""
        if self._answer is not None and not self._answer.done():
            status, body = self._parser.get_status_code(), b"".join(self._body)
            self._answer.set_result(LoadAnswer(status, body, self._sent_s, time.monotonic()))
        if not self._parser.should_keep_alive():
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the caller of `ask` know that there will be no answer; the loop calls it."""
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError(str(exc)))


async def open_load_connection(host: str, port: int) -> LoadConnection:
    """Connect to a server.

    Raises:
        OSError: nobody listens there.
    """
    _, connection = await asyncio.get_running_loop().create_connection(LoadConnection, host, port)
    return connection
