"""A client's connection: kept alive while it works, new after it broke."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from ops import OpsError

ANSWER_S_MAX = 3.0
"""After so long without an answer a client hangs up."""
TOKEN = {"X-Rinha-Token": "123"}
"""What the simulators' administration asks for."""
ADMIN_S_MAX = 30.0


class LineError(Exception):
    """No answer, or none that makes sense."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer."""

    status: int
    headers: Mapping[str, str]
    """By names in lower case."""
    body: bytes


class Line:
    """One connection at a time, to one address; for one thread."""

    def __init__(self, url: str, timeout_s: float = ANSWER_S_MAX) -> None:
        self.url = url
        parts = urlsplit(url)
        self._connection = HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send one request once.

        Raises:
            LineError: it may or may not have arrived; the next request connects anew.
        """
        try:
            self._connection.request(method, path, body, dict(headers or {}))
            response = self._connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, headers, response.read())
        except (OSError, HTTPException) as error:
            self._connection.close()
            raise LineError(f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


@contextlib.contextmanager
def open_line(url: str, timeout_s: float = ADMIN_S_MAX) -> Iterator[Line]:
    """Hold a line for a few requests."""
    line = Line(url, timeout_s)
    try:
        yield line
    finally:
        line.close()


def administer(url: str, method: str, path: str, body: bytes | None = None) -> bytes:
    """Ask a simulator's administration once.

    Raises:
        OpsError: no answer, or not 200.
    """
    with open_line(url) as line:
        try:
            answer = line.ask(method, path, body, TOKEN)
        except LineError as error:
            raise OpsError(f"{url}{path}: {error}") from error
    if answer.status != 200:  # noqa: PLR2004 - HTTP's number
        raise OpsError(f"{url}{path} answered {answer.status}: {answer.body.decode(errors='replace')}")
    return answer.body
