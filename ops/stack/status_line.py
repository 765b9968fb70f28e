"""The last line of the terminal of `ops/up`, with what the gateway tells of itself."""

import http.client
import json
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from ops.console import Console
from ops.stack.process import ProcessState

DRAW_STEP_S = 1.0
ANSWER_S_MAX = 2.0
HISTORY_S = 5
"""The number of past seconds that are asked for."""
RATE_S = 3
"""The rate is the mean of this many of them."""


def keep_drawing(console: Console, port: int, states: Callable[[], Mapping[int, ProcessState]]) -> None:
    """Draw once a second, in a thread of its own, what the gateway on a port tells; until the process ends.

    A gateway that does not answer holds up this thread alone.
    """

    def draw() -> None:
        pace = threading.Event()
        while not pace.wait(DRAW_STEP_S):
            console.draw(describe(ask_status(port, int(time.time()) - HISTORY_S), states()))

    threading.Thread(target=draw, name="status-line", daemon=True).start()


def ask_status(port: int, after_s: int) -> Mapping[str, Any] | None:
    """Ask whichever replica answers for `GET /status` with the history after an instant; None where none tells."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S_MAX)
    try:
        connection.request("GET", f"/status?after={after_s}")
        response = connection.getresponse()
        body = response.read()
        told = json.loads(body) if response.status == HTTPStatus.OK else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return told if isinstance(told, dict) else None


def describe(status: Mapping[str, Any] | None, states: Mapping[int, ProcessState]) -> str:
    """Write what the gateway tells, and how many replicas run, in one line."""
    running = sum(state is ProcessState.RUNNING for state in states.values())
    replicas = f"{running} of {len(states)} replicas"
    if status is None:
        return f"{replicas} | none tells its status"
    # Not every replica may have told of the last second yet.
    known = [count for count in status["history"]["accepted"] if count is not None][-1 - RATE_S : -1]
    rate = f"{sum(known) / len(known):.0f}/s" if known else "?/s"
    waiting = sum(status["waiting"].values())
    breakers = ", ".join(f"{name} {told['breaker']['state'] or '?'}" for name, told in status["processors"].items())
    return f"{status['story']['text']} | {rate}, {waiting} waiting | {replicas} | {breakers}"
