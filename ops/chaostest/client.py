"""The HTTP client of a chaos run: one connection that is kept while it works and replaced after an error."""

import contextlib
import select
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from ops import OpsError

ANSWER_S_MAX = 3.0
"""How long a client of the gateway waits for an answer before it hangs up."""
ADMIN_S_MAX = 30.0
"""How long a question outside of the workload may take."""
ADMIN_TOKEN = {"X-Rinha-Token": "123"}
"""The header that the administration of a simulated processor requires."""


class NoAnswerError(Exception):
    """There was no answer, or one that is not HTTP."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A complete HTTP response."""

    status: int
    headers: Mapping[str, str]
    """Headers by their names in lower case."""
    body: bytes


class HttpClient:
    """A client of one server that has at most one connection; for use by one thread."""

    def __init__(self, url: str, timeout_s: float = ANSWER_S_MAX) -> None:
        self.url = url
        parts = urlsplit(url)
        self._connection = HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> HttpAnswer:
        """Send a request once and return the answer.

        Raises:
            NoAnswerError: the request may or may not have arrived; the next one opens a new connection.
        """
        self.send(method, path, body, headers)
        return self.receive()

    def send(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> None:
        """Send a request, whose answer has to be received before the next one.

        Raises:
            NoAnswerError: it could not be sent.
        """
        if not self.is_connected:
            self._connection.close()
        try:
            self._connection.request(method, path, body, dict(headers or {}))
        except (OSError, HTTPException) as error:
            self._connection.close()
            raise NoAnswerError(f"{type(error).__name__}: {error}") from error

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection that the server has not closed; if not, the next request opens a new one."""
        kept: socket.socket | None = self._connection.sock
        return kept is not None and not select.select([kept], [], [], 0)[0]

    def receive(self) -> HttpAnswer:
        """Receive the answer to the request that was sent.

        Raises:
            NoAnswerError: there is none; the next request opens a new connection.
        """
        try:
            response = self._connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return HttpAnswer(response.status, headers, response.read())
        except (OSError, HTTPException) as error:
            self._connection.close()
            raise NoAnswerError(f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Close the connection; a later request opens a new one."""
        self._connection.close()


@contextlib.contextmanager
def open_connection(url: str, timeout_s: float = ADMIN_S_MAX) -> Iterator[HttpClient]:
    """Provide a client for a few requests, and close it afterwards."""
    connection = HttpClient(url, timeout_s)
    try:
        yield connection
    finally:
        connection.close()


def administer(url: str, method: str, path: str, body: bytes | None = None) -> bytes:
    """Send one request to the administration of a simulated processor and return the body of its answer.

    Raises:
        OpsError: there was no answer, or one with another status than 200.
    """
    with open_connection(url) as connection:
        try:
            answer = connection.ask(method, path, body, ADMIN_TOKEN)
        except NoAnswerError as error:
            raise OpsError(f"{url}{path}: {error}") from error
    if answer.status != HTTPStatus.OK:
        raise OpsError(f"{url}{path} answered {answer.status}: {answer.body.decode(errors='replace')}")
    return answer.body
