"""Clients that post payments all the time, each one again until it is accepted, as a client should."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from random import Random
from uuid import UUID

from ops.chaostest.client import HttpClient, NoAnswerError, open_connection
from ops.chaostest.workload import OfferedAmount, OfferedPayment
from tests.end_to_end.cluster import post_payment
from tests.waiting import wait_until

CLIENTS = 12
PAUSE_S_MAX = 0.2
"""Longest pause of a client between two payments."""
RETRY_S = 0.1
PATIENCE_S = 30.0
"""How long a client tries again before its payment counts as refused."""


class PatientClients:
    """What the clients have asked for, and what they were answered."""

    def __init__(self, url: str) -> None:
        self.accepted: list[UUID] = []
        self.refused: list[UUID] = []
        """Those that were not accepted within `PATIENCE_S`."""
        self.answers: Counter[str] = Counter()
        """Every answer, by its status, or by what was met instead."""
        self.slowest_s = 0.0
        """How long the payment that was tried longest took to be accepted."""
        self._url = url
        self._ended = threading.Event()

    def wait_for(self, more: int) -> None:
        """Wait until so many more payments are accepted."""
        wanted = len(self.accepted) + more
        wait_until(lambda: len(self.accepted) >= wanted, lambda: str(self.answers))

    def _post_all(self, seed: int) -> None:
        rng = Random(seed)
        with open_connection(self._url) as connection:
            while not self._ended.wait(rng.uniform(0, PAUSE_S_MAX)):
                payment = OfferedPayment(UUID(int=rng.getrandbits(128), version=4), OfferedAmount(1990))
                self._post(connection, payment)

    def _post(self, connection: HttpClient, payment: OfferedPayment) -> None:
        began_s = time.monotonic()
        while time.monotonic() < began_s + PATIENCE_S:
            if self._try(connection, payment) == "202":
                self.slowest_s = max(self.slowest_s, time.monotonic() - began_s)
                self.accepted.append(payment.correlation_id)
                return
            time.sleep(RETRY_S)
        self.refused.append(payment.correlation_id)

    def _try(self, connection: HttpClient, payment: OfferedPayment) -> str:
        try:
            answer = str(post_payment(connection, payment).status)
        except NoAnswerError as error:
            answer = str(error).partition(":")[0]
        self.answers[answer] += 1
        return answer


@contextmanager
def posting(url: str, seed: int) -> Iterator[PatientClients]:
    """Let clients post until the end of the block, and then end each after its present payment."""
    clients = PatientClients(url)
    with ThreadPoolExecutor(CLIENTS) as pool:
        ends = [pool.submit(clients._post_all, seed + number) for number in range(CLIENTS)]  # noqa: SLF001  # their own
        try:
            yield clients
        finally:
            clients._ended.set()  # noqa: SLF001  # the same
    for end in ends:
        end.result()
