"""The clients of a chaos run: they post the workload at a steady rate and retry until they have a definite answer."""

import heapq
import itertools
import json
import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from queue import Empty, SimpleQueue
from random import Random

from ops.chaostest.client import HttpAnswer, HttpClient, NoAnswerError
from ops.chaostest.summary_probe import now_ms
from ops.chaostest.threads import ThreadGroup
from ops.chaostest.workload import Attempt, OfferedAmount, OfferedPayment, draw_workload

CONNECTIONS = 40
REQUESTS_PER_CONNECTION_MAX = 100
"""After this many requests a client reconnects, so that replicas that were restarted get their share again."""
PAUSE_S, PAUSE_S_MAX = 0.1, 1.0
"""The shortest and the longest backoff before a retry."""
OTHER_AMOUNT_TRIES_MAX = 40
WAITING_PER_CONNECTION_MAX = 2
"""No new payment is offered while this many posts for each connection wait for a free one."""


class Purpose(Enum):
    """Why a payment is posted."""

    FIRST = "first"
    """To have it charged: repeated until there is a definite answer, unless the client gives up."""
    REPEAT = "repeat"
    """To see that a second post changes nothing: sent once, at the latest when no more payments are offered."""
    OTHER_AMOUNT = "other amount"
    """To see that another amount under the same id is refused: sent once, when the first amount is committed."""
    RIVAL = "rival"
    """To see that only one of two amounts that are posted at once is charged: sent once."""


@dataclass(slots=True)
class _PendingPost:
    offer: OfferedPayment
    purpose: Purpose
    tries: int = 0


class LoadGenerator:
    """All clients of a run, from `start` to `stop`, which are called once each."""

    def __init__(
        self,
        urls: Sequence[str],
        *,
        rate: float,
        seconds: float,
        seed: int,
        huge_share: float = 0.0,
        connections: int = CONNECTIONS,
        pause_s_max: float = PAUSE_S_MAX,
    ) -> None:
        """Make clients that are not started yet.

        Args:
            urls: the addresses to post to; one that is listed twice gets twice as many connections.
            rate: new payments per second.
            seconds: how long new payments are offered, unless `stop_offering` ends that earlier.
            seed: decides which payments are offered.
            huge_share: share of the payments with an amount near the largest that there may be.
            connections: how many clients there are; each waits for one answer at a time.
            pause_s_max: the longest backoff before a retry.
        """
        self.offers: list[OfferedPayment] = []
        """The payments offered so far, in order; may be read at any time."""
        self._urls = urls
        self._connections = connections
        self._pause_s_max = pause_s_max
        self._gap_s = 1 / rate
        self._seconds = seconds
        self._until_s = 0.0
        self._seed = seed
        self._source = draw_workload(seed, huge_share)
        self._due: SimpleQueue[_PendingPost | None] = SimpleQueue()
        self._later: SimpleQueue[tuple[float, _PendingPost]] = SimpleQueue()
        self._unfinished = 0
        self._lock = threading.Lock()
        self._threads = ThreadGroup()
        self._threads.add("dispatcher", self._dispatch)
        for number in range(connections):
            self._threads.add(f"client-{number}", self._serve, number)

    def start(self) -> None:
        """Start to offer payments."""
        self._until_s = time.monotonic() + self._seconds
        self._threads.start()

    def stop_offering(self) -> None:
        """Offer no new payment from now on; repeats that were due later are sent at once."""
        self._until_s = min(self._until_s, time.monotonic())

    @property
    def unfinished(self) -> int:
        """How many posts still wait for their time or for a definite answer."""
        with self._lock:
            return self._unfinished

    def stop(self) -> None:
        """End all clients, even those without a definite answer; may be called again."""
        self._threads.stop()

    def _dispatch(self) -> None:
        waiting: list[tuple[float, int, _PendingPost]] = []
        repeats: list[tuple[float, int, _PendingPost]] = []
        order = itertools.count()
        next_s = time.monotonic()
        while not self._threads.stopping.is_set():
            now_s = time.monotonic()
            while waiting and waiting[0][0] <= now_s:
                self._due.put(heapq.heappop(waiting)[2])
            while repeats and (repeats[0][0] <= now_s or now_s >= self._until_s):
                self._due.put(heapq.heappop(repeats)[2])
            if next_s <= now_s < self._until_s:
                # When clients are held up for more than a second, the payments of that time are not made up for.
                next_s = max(next_s + self._gap_s, now_s - 1)
                if self._due.qsize() < WAITING_PER_CONNECTION_MAX * self._connections:
                    self._offer(next(self._source))
            dues_s = [heap[0][0] for heap in (waiting, repeats) if heap]
            wake_s = min(now_s + 0.1, *dues_s, next_s if now_s < self._until_s else math.inf)
            try:
                due_s, post = self._later.get(timeout=max(0.0005, wake_s - time.monotonic()))
            except Empty:
                continue
            heapq.heappush(repeats if post.purpose is Purpose.REPEAT else waiting, (due_s, next(order), post))
        for _ in range(self._connections):
            self._due.put(None)

    def _offer(self, offer: OfferedPayment) -> None:
        self._begin(_PendingPost(offer, Purpose.FIRST))
        if offer.is_rival:
            self._begin(_PendingPost(offer, Purpose.RIVAL))
        if offer.repeat_after_s is not None:
            self._begin(_PendingPost(offer, Purpose.REPEAT), offer.repeat_after_s)
        self.offers.append(offer)

    def _begin(self, post: _PendingPost, after_s: float = 0) -> None:
        with self._lock:
            self._unfinished += 1
        if after_s > 0:
            self._later.put((time.monotonic() + after_s, post))
        else:
            self._due.put(post)

    def _serve(self, number: int) -> None:
        rng = Random(f"{self._seed} client {number}")  # noqa: S311 - no secret
        connection, requests = HttpClient(rng.choice(self._urls)), 0
        while (post := self._due.get()) is not None and not self._threads.stopping.is_set():
            requests += 1
            again, works = self._carry_out(post, connection)
            if not works or requests > REQUESTS_PER_CONNECTION_MAX:
                connection.close()
                connection, requests = HttpClient(rng.choice(self._urls)), 0
            if again:
                post.tries += 1
                pause_s = min(self._pause_s_max, PAUSE_S * 2 ** min(post.tries, 10)) * rng.uniform(0.5, 1)
                self._later.put((time.monotonic() + pause_s, post))
            else:
                self._end(post)
        connection.close()

    def _end(self, post: _PendingPost) -> None:
        offer = post.offer
        is_alone = offer.other_amount is None or offer.is_rival
        if post.purpose is Purpose.FIRST and offer.accepted and not is_alone:
            self._begin(_PendingPost(offer, Purpose.OTHER_AMOUNT), PAUSE_S)
        with self._lock:
            self._unfinished -= 1

    def _carry_out(self, post: _PendingPost, connection: HttpClient) -> tuple[bool, bool]:
        """Post once; return whether to try again later, and whether the connection can be kept."""
        offer = post.offer
        match post.purpose:
            case Purpose.FIRST:
                attempt = _post(offer, offer.amount, connection)
                indefinite = attempt.status is None or attempt.status >= HTTPStatus.INTERNAL_SERVER_ERROR
                return indefinite and not offer.gives_up, not indefinite
            case Purpose.REPEAT:
                return False, _post(offer, offer.amount, connection).status is not None
            case Purpose.RIVAL:
                return False, _post(offer, offer.amounts[-1], connection).status is not None
            case Purpose.OTHER_AMOUNT:
                # Until the first amount is committed, the gateway may still prefer the other one.
                committed = _is_committed(offer, connection)
                if committed and offer.other_amount is not None:
                    return False, _post(offer, offer.other_amount, connection).status is not None
                return post.tries < OTHER_AMOUNT_TRIES_MAX, committed is not None


def _post(offer: OfferedPayment, amount: OfferedAmount, connection: HttpClient) -> Attempt:
    body = offer.body_format.encode(offer.correlation_id, amount)
    at_ms, began_s = now_ms(), time.perf_counter()
    try:
        answer = connection.ask("POST", "/payments", body, {"Content-Type": offer.body_format.content_type})
        took_s, says_when = time.perf_counter() - began_s, "retry-after" in answer.headers
        error = "" if answer.status == HTTPStatus.ACCEPTED else _reason(answer)
        attempt = Attempt(at_ms, connection.url, amount, answer.status, error, now_ms(), took_s, says_when)
    except NoAnswerError as error:
        took_s = time.perf_counter() - began_s
        attempt = Attempt(at_ms, connection.url, amount, None, str(error), now_ms(), took_s)
    offer.attempts.append(attempt)
    return attempt


def _reason(answer: HttpAnswer) -> str:
    return answer.body.decode(errors="replace")[:200]


def _is_committed(offer: OfferedPayment, connection: HttpClient) -> bool | None:
    """Ask the gateway whether a payment is committed to Postgres; return None without an answer."""
    try:
        answer = connection.ask("GET", f"/payments/{offer.correlation_id}")
        # Replicas tell also of what only stands in a journal; the processor is known from the row in Postgres.
        return answer.status == HTTPStatus.OK and json.loads(answer.body)["processor"] is not None
    except NoAnswerError:
        return None
