"""The figures that a chaos run shows while it goes on: one line on a terminal, else a table."""

import time
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import psycopg

from ops.chaostest.load_generator import LoadGenerator
from ops.chaostest.schedule import ScheduledFault
from ops.chaostest.threads import ThreadGroup
from ops.chaostest.workload import OfferedPayment
from ops.console import Console

LINE_STEP_S = 5.0
"""How often a line is printed where none is drawn."""
DRAW_STEP_S = 1.0
"""How often the line of a terminal is drawn."""
QUERY_STEP_S = 1.0
"""How often Postgres is asked for its figures."""
HEAD = f"{'elapsed':>9}{'offered':>9}{'accepted':>9}{'settled':>9}{'claimed':>9}{'faults':>7}  on now"


class FaultCounts(Protocol):
    """The faults of a run, as the table shows them."""

    @property
    def counts(self) -> Counter[str]:
        """How many faults of each kind were injected so far."""

    @property
    def current(self) -> Sequence[ScheduledFault]:
        """The faults that are active at the moment."""


class ProgressTable:
    """Shows figures every few seconds from `start` to `stop`, which are called once each."""

    def __init__(
        self, database_url: str, clients: LoadGenerator, nemesis: FaultCounts, console: Console, seconds: float
    ) -> None:
        """`seconds` is how long payments are offered."""
        self._database_url = database_url
        self._clients = clients
        self._injector = nemesis
        self._console = console
        self._seconds = seconds
        self._settled_and_claimed = ("?", "?")
        self._threads = ThreadGroup()
        self._threads.add("progress", self._print_lines)
        # A second thread asks Postgres, because a paused Postgres does not answer and lines have to go on.
        self._threads.add("progress-query", self._query)
        self._began_s = 0.0

    def start(self) -> None:
        """Print the head of the table, and lines from now on."""
        if not self._console.draws:
            self._console.say(HEAD)
        self._began_s = time.monotonic()
        self._threads.start()

    def stop(self) -> None:
        """Print no more lines; may be called again."""
        self._threads.stop()

    def _print_lines(self) -> None:
        unaccepted: list[OfferedPayment] = []
        seen = 0
        while not self._threads.stopping.wait(DRAW_STEP_S if self._console.draws else LINE_STEP_S):
            offered = len(self._clients.offers)
            # Payments that were accepted before are left out, because a long run has very many.
            unaccepted += self._clients.offers[seen:offered]
            unaccepted, seen = [offer for offer in unaccepted if not offer.accepted], offered
            faults = self._injector.counts.total()
            active = ", ".join(f"{fault.fault} {fault.target}" for fault in self._injector.current)
            settled, claimed = self._settled_and_claimed
            elapsed_s = time.monotonic() - self._began_s
            accepted = offered - len(unaccepted)
            if self._console.draws:
                text = f"{offered} offered, {accepted} accepted, {settled} settled, {claimed} claimed | {faults} faults"
                now = f"{min(elapsed_s, self._seconds):.0f} of {self._seconds:.0f} s"
                self._console.draw(f"{now} | {text} | {active or 'none now'}", elapsed_s / self._seconds)
            else:
                counts = f"{elapsed_s:8.1f}s{offered:9}{accepted:9}{settled:>9}{claimed:>9}{faults:7}"
                self._console.say(f"{counts}  {active}")

    def _query(self) -> None:
        while not self._threads.stopping.wait(QUERY_STEP_S):
            self._settled_and_claimed = ("?", "?")
            try:
                with psycopg.connect(self._database_url, connect_timeout=2) as connection:
                    query = "SELECT (SELECT count(*) FROM settlement), count(*) FROM claim"
                    for settled, claimed in connection.execute(query):
                        self._settled_and_claimed = (str(settled), str(claimed))
            except psycopg.Error:
                continue
