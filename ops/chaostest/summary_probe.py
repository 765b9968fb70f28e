"""The summary probe: asks replicas for summaries of windows that have ended, while payments and faults go on."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from http import HTTPStatus
from random import Random
from typing import Any
from urllib.parse import quote

from ops.chaostest.client import HttpClient, NoAnswerError
from ops.chaostest.threads import ThreadGroup
from ops.chaostest.workload import DECIMALS, DEFAULT_CURRENCY

ASKERS = 50
"""How many threads ask at the same time."""
PERIOD_S = 1.0
"""How often each thread asks; together they ask 50 times a second."""
RECENT_MS_MAX = 20_000
"""How long ago a window may have ended."""


@dataclass(frozen=True, slots=True)
class ChargeTotals:
    """How many charges there are, and the sum of their amounts."""

    requests: int
    minor: int
    """In minor units of the currency."""


@dataclass(frozen=True, slots=True)
class SummaryAnswer:
    """A window with inclusive bounds, and the summary that a replica gave for it."""

    url: str
    asked_at_ms: int
    from_ms: int | None
    to_ms: int | None
    status: int
    final: bool
    """Whether the replica said that the summary of this window can no longer change."""
    totals: Mapping[str, ChargeTotals]
    """The totals by `total_key`."""
    tells_moment: bool = False
    """Whether the replica said of which instant the totals are: it does not where it cannot know that."""


def total_key(processor: str, currency: str) -> str:
    """Name the total of a processor in a currency: by the processor alone where that is the default."""
    return processor if currency == DEFAULT_CURRENCY else f"{processor} {currency}"


def without_zeros(totals: Mapping[str, ChargeTotals]) -> dict[str, ChargeTotals]:
    """Leave out totals in other currencies than the default that are zero: a summary need not have them."""
    return {key: total for key, total in totals.items() if total.requests or " " not in key}


def ask_summary(connection: HttpClient, from_ms: int | None, to_ms: int | None) -> SummaryAnswer:
    """Ask a replica for one summary; None leaves a bound of the window open.

    Raises:
        NoAnswerError: the replica did not answer.
    """
    bounds = [f"{name}={quote(iso(bound))}" for name, bound in (("from", from_ms), ("to", to_ms)) if bound is not None]
    asked_at_ms = now_ms()
    connection.send("GET", "/payments-summary" + ("?" + "&".join(bounds) if bounds else ""))
    return read_summary(connection, asked_at_ms, from_ms, to_ms)


def read_summary(connection: HttpClient, asked_at_ms: int, from_ms: int | None, to_ms: int | None) -> SummaryAnswer:
    """Receive the summary for which a replica was asked.

    Raises:
        NoAnswerError: the replica did not answer.
    """
    answer = connection.receive()
    totals: dict[str, ChargeTotals] = {}
    if answer.status == HTTPStatus.OK:
        totals = read_processors(json.loads(answer.body, parse_float=Decimal))
    return SummaryAnswer(
        connection.url,
        asked_at_ms,
        from_ms,
        to_ms,
        answer.status,
        answer.headers.get("fiel-summary-final") == "true",
        without_zeros(totals),
        "fiel-summary-as-of" in answer.headers,
    )


def read_processors(by_processor: Mapping[str, Any]) -> dict[str, ChargeTotals]:
    """Read totals by processor, under `currencies` those in other currencies than the default, by `total_key`."""
    in_default = {name: figures for name, figures in by_processor.items() if name != "currencies"}
    return {
        total_key(name, code): ChargeTotals(
            figures["totalRequests"], int(figures["totalAmount"] * 10 ** DECIMALS[code])
        )
        for code, in_currency in {DEFAULT_CURRENCY: in_default, **by_processor.get("currencies", {})}.items()
        for name, figures in in_currency.items()
    }


def iso(at_ms: int) -> str:
    """Write an instant in UTC with milliseconds, as in 2025-07-15T12:34:56.789Z."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{at_ms % 1000:03}Z"


def now_ms() -> int:
    """Return the wall-clock time in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class SummaryProbe:
    """Threads that ask for summaries from `start` to `stop`, which are called once each."""

    def __init__(self, urls: Callable[[], Sequence[str]], seed: int, askers: int = ASKERS) -> None:
        """Each asker asks once a second; `urls` returns the replicas that can be asked at the moment."""
        self.answers: list[SummaryAnswer] = []
        self._urls = urls
        self._seed = seed
        self._began_ms = now_ms()
        self._threads = ThreadGroup()
        for number in range(askers):
            self._threads.add(f"summary-probe-{number}", self._ask, number)

    def start(self) -> None:
        """Start to ask."""
        self._threads.start()

    def stop(self) -> None:
        """Stop asking; may be called again."""
        self._threads.stop()

    def _ask(self, number: int) -> None:
        rng = Random(f"{self._seed} watch {number}")  # noqa: S311 - no secret
        connections: dict[str, HttpClient] = {}
        due_s = time.monotonic() + rng.uniform(0, PERIOD_S)
        while not self._threads.stopping.wait(max(0.0, due_s - time.monotonic())):
            due_s = max(due_s, time.monotonic() - PERIOD_S) + PERIOD_S
            urls = self._urls()
            if urls:
                url = rng.choice(urls)
                connection = connections.setdefault(url, HttpClient(url))
                try:
                    self.answers.append(ask_summary(connection, *draw_window(rng, self._began_ms, now_ms())))
                except NoAnswerError:
                    continue
        for connection in connections.values():
            connection.close()


def draw_window(rng: Random, began_ms: int, now_ms: int) -> tuple[int | None, int]:
    """Draw a window that has ended; half of them are as the event asks for them, others are short, long or open."""
    draw = rng.random()
    if draw < 0.5:  # noqa: PLR2004 - a half
        return now_ms - 15_000, now_ms - 1_500
    to_ms = max(began_ms, now_ms - rng.randint(1, RECENT_MS_MAX))
    if draw < 0.6:  # noqa: PLR2004 - a tenth
        return None, to_ms
    if draw < 0.8:  # noqa: PLR2004 - a fifth
        return began_ms, to_ms
    return max(began_ms, to_ms - rng.randint(0, 5_000)), to_ms
