"""The table that a trial prints while it runs."""

import threading
import time
from collections.abc import Callable

import psycopg

from ops.trial.injector import Injector
from ops.trial.load import Load
from ops.trial.offers import Offer

LINE_S = 5.0
SAMPLE_S = 1.0
HEAD = f"{'elapsed':>9}{'offered':>9}{'accepted':>9}{'settled':>9}{'claimed':>9}{'faults':>7}  on now"


class Progress:
    """Prints a line every few seconds. `start` and `stop` once each."""

    def __init__(self, database_url: str, load: Load, injector: Injector, say: Callable[[str], None]) -> None:
        self._database_url = database_url
        self._load = load
        self._injector = injector
        self._say = say
        self._stopped = threading.Event()
        # Postgres is asked beside the table: while it is paused it answers nobody.
        self._in_books = ("?", "?")
        self._threads = [threading.Thread(target=self._run, name="progress")]
        self._threads.append(threading.Thread(target=self._sample, name="sampler"))
        self._began_s = 0.0

    def start(self) -> None:
        """Print the head, and lines from now on."""
        self._say(HEAD)
        self._began_s = time.monotonic()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Print no more. May be called again."""
        self._stopped.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _run(self) -> None:
        unaccepted: list[Offer] = []
        seen = 0
        while not self._stopped.wait(LINE_S):
            offered = len(self._load.offers)
            # Only what is new or was not accepted before: a long trial has very many.
            unaccepted += self._load.offers[seen:offered]
            unaccepted, seen = [offer for offer in unaccepted if not offer.accepted], offered
            faults = self._injector.counts.total()
            on_now = ", ".join(f"{fault.fault} {fault.target}" for fault in self._injector.current)
            settled, claimed = self._in_books
            elapsed_s = time.monotonic() - self._began_s
            self._say(
                f"{elapsed_s:8.1f}s{offered:9}{offered - len(unaccepted):9}{settled:>9}{claimed:>9}{faults:7}  {on_now}"
            )

    def _sample(self) -> None:
        while not self._stopped.wait(SAMPLE_S):
            self._in_books = ("?", "?")
            try:
                with psycopg.connect(self._database_url, connect_timeout=2) as connection:
                    query = "SELECT (SELECT count(*) FROM settlement), count(*) FROM claim"
                    for settled, claimed in connection.execute(query):
                        self._in_books = (str(settled), str(claimed))
            except psycopg.Error:
                continue
