"""Asks replicas for summaries of windows that have ended, while payments, faults and drains go on."""

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from http import HTTPStatus
from random import Random
from urllib.parse import quote

from ops.trial.line import Line, LineError

ASKERS = 50
PERIOD_S = 1.0
"""Each asks once in a period: 50 times a second in all."""
RECENT_MS_MAX = 20_000


@dataclass(frozen=True, slots=True)
class Totals:
    """How many charges, and how much."""

    requests: int
    cents: int


@dataclass(frozen=True, slots=True)
class SummaryAnswer:
    """A window, both bounds inclusive, and what a replica said of it."""

    url: str
    asked_at_ms: int
    from_ms: int | None
    to_ms: int | None
    status: int
    final: bool
    totals: Mapping[str, Totals]
    """By processor."""


def ask_summary(line: Line, from_ms: int | None, to_ms: int | None) -> SummaryAnswer:
    """Ask one replica once.

    Raises:
        LineError: no answer.
    """
    bounds = [f"{name}={quote(iso(bound))}" for name, bound in (("from", from_ms), ("to", to_ms)) if bound is not None]
    asked_at_ms = now_ms()
    answer = line.ask("GET", "/payments-summary" + ("?" + "&".join(bounds) if bounds else ""))
    totals = {}
    if answer.status == HTTPStatus.OK:
        for name, told in json.loads(answer.body, parse_float=Decimal).items():
            totals[name] = Totals(told["totalRequests"], int(told["totalAmount"] * 100))
    final = answer.headers.get("fiel-summary-final") == "true"
    return SummaryAnswer(line.url, asked_at_ms, from_ms, to_ms, answer.status, final, totals)


def iso(at_ms: int) -> str:
    """Write an instant in UTC, to the millisecond."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{at_ms % 1000:03}Z"


def now_ms() -> int:
    """Wall clock, milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class Watch:
    """Asks until it is stopped. `start` and `stop` once each."""

    def __init__(self, urls: Callable[[], Sequence[str]], seed: int) -> None:
        """`urls` gives the replicas that should answer now."""
        self.answers: list[SummaryAnswer] = []
        self._urls = urls
        self._seed = seed
        self._began_ms = now_ms()
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(n,), name=f"watch-{n}") for n in range(ASKERS)]

    def start(self) -> None:
        """Begin to ask."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ask no more. May be called again."""
        self._stopped.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _ask(self, number: int) -> None:
        chance = Random(f"{self._seed} watch {number}")  # noqa: S311 - no secret
        lines: dict[str, Line] = {}
        due_s = time.monotonic() + chance.uniform(0, PERIOD_S)
        while not self._stopped.wait(max(0.0, due_s - time.monotonic())):
            due_s = max(due_s, time.monotonic() - PERIOD_S) + PERIOD_S
            urls = self._urls()
            if urls:
                url = chance.choice(urls)
                line = lines.setdefault(url, Line(url))
                try:
                    self.answers.append(ask_summary(line, *draw_window(chance, self._began_ms, now_ms())))
                except LineError:
                    continue
        for line in lines.values():
            line.close()


def draw_window(chance: Random, began_ms: int, now_ms: int) -> tuple[int | None, int]:
    """Draw a window that has ended: the event's own in half of the cases, else short, long or open at its start."""
    lot = chance.random()
    if lot < 0.5:  # noqa: PLR2004 - a half
        return now_ms - 15_000, now_ms - 1_500
    to_ms = max(began_ms, now_ms - chance.randint(1, RECENT_MS_MAX))
    if lot < 0.6:  # noqa: PLR2004 - a tenth
        return None, to_ms
    if lot < 0.8:  # noqa: PLR2004 - a fifth
        return began_ms, to_ms
    return max(began_ms, to_ms - chance.randint(0, 5_000)), to_ms
