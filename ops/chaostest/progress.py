"""The table of figures that a chaos run prints while it goes on."""

import time
from collections.abc import Callable

import psycopg

from ops.chaostest.load_generator import LoadGenerator
from ops.chaostest.nemesis import Nemesis
from ops.chaostest.threads import ThreadGroup
from ops.chaostest.workload import OfferedPayment

LINE_STEP_S = 5.0
"""How often a line is printed."""
QUERY_STEP_S = 1.0
"""How often Postgres is asked for its figures."""
HEAD = f"{'elapsed':>9}{'offered':>9}{'accepted':>9}{'settled':>9}{'claimed':>9}{'faults':>7}  on now"


class ProgressTable:
    """Prints a line every few seconds from `start` to `stop`, which are called once each."""

    def __init__(self, database_url: str, clients: LoadGenerator, nemesis: Nemesis, say: Callable[[str], None]) -> None:
        self._database_url = database_url
        self._clients = clients
        self._injector = nemesis
        self._say = say
        self._settled_and_claimed = ("?", "?")
        self._threads = ThreadGroup()
        self._threads.add("progress", self._print_lines)
        # A second thread asks Postgres, because a paused Postgres does not answer and lines have to go on.
        self._threads.add("progress-query", self._query)
        self._began_s = 0.0

    def start(self) -> None:
        """Print the head of the table, and lines from now on."""
        self._say(HEAD)
        self._began_s = time.monotonic()
        self._threads.start()

    def stop(self) -> None:
        """Print no more lines; may be called again."""
        self._threads.stop()

    def _print_lines(self) -> None:
        unaccepted: list[OfferedPayment] = []
        seen = 0
        while not self._threads.stopping.wait(LINE_STEP_S):
            offered = len(self._clients.offers)
            # Payments that were accepted before are left out, because a long run has very many.
            unaccepted += self._clients.offers[seen:offered]
            unaccepted, seen = [offer for offer in unaccepted if not offer.accepted], offered
            faults = self._injector.counts.total()
            active = ", ".join(f"{fault.fault} {fault.target}" for fault in self._injector.current)
            settled, claimed = self._settled_and_claimed
            elapsed_s = time.monotonic() - self._began_s
            self._say(
                f"{elapsed_s:8.1f}s{offered:9}{offered - len(unaccepted):9}{settled:>9}{claimed:>9}{faults:7}  {active}"
            )

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
