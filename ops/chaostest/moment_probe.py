"""The moment probe: asks the gateway and all processors for one window at the same moment, as the event does."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from http import HTTPStatus
from itertools import cycle
from urllib.parse import quote

from ops.chaostest.client import ADMIN_TOKEN, HttpClient, NoAnswerError
from ops.chaostest.summary_probe import (
    ChargeTotals,
    SummaryAnswer,
    iso,
    now_ms,
    read_processors,
    read_summary,
    without_zeros,
)
from ops.chaostest.threads import ThreadGroup

PERIOD_S = 0.5
"""Time between two questions."""
WINDOW_MS = 15_000
ENDED_MS_AGO = (1_500, 2_000, 700)
"""How long before the question the windows have ended, in turns: as the event asks for them, and a later one."""
QUIET_S_MIN = 5.0
"""Nothing is asked until this time after a fault in a process, or after bad neighbours.

Meanwhile answers of processors may wait unread.
"""


@dataclass(frozen=True, slots=True)
class MomentAnswers:
    """The summaries that the gateway and the processors gave of one window at the same moment."""

    from_ms: int
    to_ms: int
    """The bounds of the window, both inclusive."""
    sent_ms: int
    """Wall clock before the first question was sent."""
    heard_ms: int
    """Wall clock after the last processor had answered."""
    gateway: SummaryAnswer
    processors: Mapping[str, ChargeTotals]
    """The processors' own totals by `total_key`."""

    @property
    def is_comparable(self) -> bool:
        """Whether the gateway answered, and said of which instant its totals are."""
        return self.gateway.status == HTTPStatus.OK and self.gateway.tells_moment


class MomentProbe:
    """A thread that asks from `start` to `stop`, which are called once each."""

    def __init__(
        self,
        urls: Callable[[], Sequence[str]],
        processors: Mapping[str, str],
        quiet_s: Callable[[], float],
    ) -> None:
        """`urls` returns the replicas that can be asked, `quiet_s` tells how long processors alone have had faults.

        `processors` holds the addresses of the processors' administrations by name.
        """
        self.answers: list[MomentAnswers] = []
        self._urls = urls
        self._processors = {name: HttpClient(url) for name, url in processors.items()}
        self._quiet_s = quiet_s
        self._threads = ThreadGroup()
        self._threads.add("moment-probe", self._ask)

    def start(self) -> None:
        """Start to ask."""
        self._threads.start()

    def stop(self) -> None:
        """Stop asking; may be called again."""
        self._threads.stop()

    def _ask(self) -> None:
        replicas: dict[str, HttpClient] = {}
        for number, ended_ms_ago in enumerate(cycle(ENDED_MS_AGO)):
            if self._threads.stopping.wait(PERIOD_S):
                break
            urls = self._urls()
            if not urls or self._quiet_s() < QUIET_S_MIN:
                continue
            url = urls[number % len(urls)]
            answers = ask_at_once(replicas.setdefault(url, HttpClient(url)), self._processors, ended_ms_ago)
            # A fault that began meanwhile may have kept an answer back.
            if answers is not None and self._quiet_s() >= QUIET_S_MIN:
                self.answers.append(answers)
        for connection in (*replicas.values(), *self._processors.values()):
            connection.close()


def ask_at_once(replica: HttpClient, processors: Mapping[str, HttpClient], ended_ms_ago: int) -> MomentAnswers | None:
    """Send a question to a replica and to each processor before any answer is read; None where one is missing."""
    sent_ms = now_ms()
    to_ms = sent_ms - ended_ms_ago
    from_ms = to_ms - WINDOW_MS
    query = f"?from={quote(iso(from_ms))}&to={quote(iso(to_ms))}"
    try:
        replica.send("GET", f"/payments-summary{query}")
        for processor in processors.values():
            processor.send("GET", f"/admin/payments-summary{query}", headers=ADMIN_TOKEN)
        answered = {name: processor.receive() for name, processor in processors.items()}
        heard_ms = now_ms()
        gateway = read_summary(replica, sent_ms, from_ms, to_ms)
    except NoAnswerError:
        for connection in (replica, *processors.values()):
            connection.close()
        return None
    totals: dict[str, ChargeTotals] = {}
    for name, answer in answered.items():
        if answer.status != HTTPStatus.OK:
            return None
        totals |= read_processor(name, answer.body)
    return MomentAnswers(from_ms, to_ms, sent_ms, heard_ms, gateway, without_zeros(totals))


def read_processor(name: str, body: bytes) -> dict[str, ChargeTotals]:
    """Read what a processor tells of its charges, by `total_key`."""
    figures = json.loads(body, parse_float=Decimal)
    others = figures.pop("currencies", {})
    return read_processors({name: figures, "currencies": {code: {name: other} for code, other in others.items()}})
