"""A gateway for tests of the player: it says what the test wants, and charges nobody."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

Answer = tuple[int, object]


class FakeGateway:
    """Answers each request with what `answer` makes of its method, path and body; None hangs up."""

    def __init__(self, answer: Callable[[str, str, bytes], Answer | None]) -> None:
        self.requests: Counter[str] = Counter()
        """How many requests came, by method and path without query."""
        self.connections = 0
        self._answer = answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                method, path, _ = head.split(" ", 2)
                length = head.lower().partition("content-length: ")[2].partition("\r\n")[0]
                body = await reader.readexactly(int(length))
                self.requests[f"{method} {path.partition('?')[0]}"] += 1
                answered = self._answer(method, path, body)
                if answered is None:
                    break
                content = json.dumps(answered[1]).encode()
                writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (answered[0], len(content), content))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def listening(gateway: FakeGateway) -> AsyncIterator[str]:
    """Serve a gateway, and give its address."""
    server = await asyncio.start_server(gateway.serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
