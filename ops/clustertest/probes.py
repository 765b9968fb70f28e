"""Asks a process of a host whether it does its work."""

import json
import socket
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from typing import Any

ANSWER_S_MAX = 2.0

Probe = Callable[[], bool]


def answers_http(address: str, port: int, path: str) -> Probe:
    """Make a probe that is true while `GET path` is answered with 200."""
    return lambda: ask_http(address, port, "GET", path)[0] == 200  # noqa: PLR2004 - HTTP's number


def accepts(address: str, port: int) -> Probe:
    """Make a probe that is true while connections are accepted."""

    def connects() -> bool:
        try:
            socket.create_connection((address, port), timeout=ANSWER_S_MAX).close()
        except OSError:
            return False
        return True

    return connects


def ask_http(
    address: str, port: int, method: str, path: str, body: object = None, timeout_s: float = ANSWER_S_MAX
) -> tuple[int | None, Any]:
    """Send a request, with JSON if there is a body; return the status, None without an answer, and the answer's body.

    A body that is not JSON is returned as text.
    """
    connection = HTTPConnection(address, port, timeout=timeout_s)
    try:
        connection.request(method, path, None if body is None else json.dumps(body))
        response = connection.getresponse()
        text = response.read().decode(errors="replace")
    except (OSError, HTTPException):
        return None, None
    finally:
        connection.close()
    try:
        return response.status, json.loads(text)
    except ValueError:
        return response.status, text
