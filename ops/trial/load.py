"""The clients of a trial: they offer new payments at a steady rate, and try again until they have a definite answer."""

import heapq
import itertools
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from queue import Empty, SimpleQueue
from random import Random

from ops.trial.line import Answer, Line, LineError
from ops.trial.offers import Attempt, Offer, draw_offers

CONNECTIONS = 40
REQUESTS_PER_CONNECTION_MAX = 100
"""Then a client connects anew, so that replicas that came back get their share."""
PAUSE_S, PAUSE_S_MAX = 0.1, 1.0
OTHER_AMOUNT_TRIES_MAX = 40
WAITING_MAX = 2 * CONNECTIONS
"""While so many posts wait for a connection, nothing new is offered."""


class Purpose(Enum):
    """Why something is posted."""

    FIRST = "first"
    """Until there is a definite answer, unless the client gives up."""
    REPEAT = "repeat"
    """Once more, once."""
    OTHER_AMOUNT = "other amount"
    """When the first amount is in the books, once."""


@dataclass(slots=True)
class _Post:
    offer: Offer
    purpose: Purpose
    tries: int = 0


class Load:
    """All clients. `start` and `stop` once each; `offers` may be read at any time."""

    def __init__(self, urls: Sequence[str], *, rate: float, seconds: float, seed: int) -> None:
        """`urls` are the addresses to post to, each drawn as often as it is listed; new payments come for `seconds`."""
        self.offers: list[Offer] = []
        """Those that were posted at least once, in the order of their first posts."""
        self._urls = urls
        self._gap_s = 1 / rate
        self._seconds = seconds
        self._until_s = 0.0
        self._seed = seed
        self._source = draw_offers(seed)
        self._due: SimpleQueue[_Post | None] = SimpleQueue()
        self._later: SimpleQueue[tuple[float, _Post]] = SimpleQueue()
        self._unfinished = 0
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._threads = [threading.Thread(target=self._dispatch, name="dispatcher")]
        self._threads += [
            threading.Thread(target=self._serve, args=(number,), name=f"client-{number}")
            for number in range(CONNECTIONS)
        ]

    def start(self) -> None:
        """Begin to offer payments."""
        self._until_s = time.monotonic() + self._seconds
        for thread in self._threads:
            thread.start()

    @property
    def unfinished(self) -> int:
        """How many posts still wait for their time or for a definite answer."""
        with self._lock:
            return self._unfinished

    def stop(self) -> None:
        """End all clients; what has no definite answer by now gets none. May be called again."""
        self._closed.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _dispatch(self) -> None:
        waiting: list[tuple[float, int, _Post]] = []
        order = itertools.count()
        next_s = time.monotonic()
        while not self._closed.is_set():
            now_s = time.monotonic()
            while waiting and waiting[0][0] <= now_s:
                self._due.put(heapq.heappop(waiting)[2])
            if next_s <= now_s < self._until_s:
                # Where the clients are held up, the rate falls; it is not made up for later.
                next_s = max(next_s + self._gap_s, now_s - 1)
                if self._due.qsize() < WAITING_MAX:
                    self._offer(next(self._source))
            wake_s = min(waiting[0][0] if waiting else now_s + 0.1, next_s if now_s < self._until_s else now_s + 0.1)
            try:
                due_s, post = self._later.get(timeout=max(0.0005, wake_s - time.monotonic()))
            except Empty:
                continue
            heapq.heappush(waiting, (due_s, next(order), post))
        for _ in range(CONNECTIONS):
            self._due.put(None)

    def _offer(self, offer: Offer) -> None:
        self._begin(_Post(offer, Purpose.FIRST))
        if offer.repeat_after_s is not None:
            self._begin(_Post(offer, Purpose.REPEAT), min(offer.repeat_after_s, self._until_s - time.monotonic()))
        self.offers.append(offer)

    def _begin(self, post: _Post, after_s: float = 0) -> None:
        with self._lock:
            self._unfinished += 1
        if after_s > 0:
            self._later.put((time.monotonic() + after_s, post))
        else:
            self._due.put(post)

    def _serve(self, number: int) -> None:
        chance = Random(f"{self._seed} client {number}")  # noqa: S311 - no secret
        line, requests = Line(chance.choice(self._urls)), 0
        while (post := self._due.get()) is not None and not self._closed.is_set():
            requests += 1
            again, works = self._carry_out(post, line)
            if not works or requests > REQUESTS_PER_CONNECTION_MAX:
                line.close()
                line, requests = Line(chance.choice(self._urls)), 0
            if again:
                post.tries += 1
                pause_s = min(PAUSE_S_MAX, PAUSE_S * 2 ** min(post.tries, 10)) * chance.uniform(0.5, 1)
                self._later.put((time.monotonic() + pause_s, post))
            else:
                self._end(post)
        line.close()

    def _end(self, post: _Post) -> None:
        offer = post.offer
        if post.purpose is Purpose.FIRST and offer.accepted and offer.other_cents is not None:
            self._begin(_Post(offer, Purpose.OTHER_AMOUNT), PAUSE_S)
        with self._lock:
            self._unfinished -= 1

    def _carry_out(self, post: _Post, line: Line) -> tuple[bool, bool]:
        """Post once; returns whether to try again later, and whether the connection can be kept."""
        offer = post.offer
        match post.purpose:
            case Purpose.FIRST:
                attempt = _post(offer, offer.amount_cents, line)
                indefinite = attempt.status is None or attempt.status >= HTTPStatus.INTERNAL_SERVER_ERROR
                return indefinite and not offer.gives_up, not indefinite
            case Purpose.REPEAT:
                return False, _post(offer, offer.amount_cents, line).status is not None
            case Purpose.OTHER_AMOUNT:
                # Before the first amount is committed, the other one could win.
                committed = _is_committed(offer, line)
                if committed and offer.other_cents is not None:
                    return False, _post(offer, offer.other_cents, line).status is not None
                return post.tries < OTHER_AMOUNT_TRIES_MAX, committed is not None


def _post(offer: Offer, amount_cents: int, line: Line) -> Attempt:
    at_ms = time.time_ns() // 1_000_000
    body = offer.form.encode(offer.correlation_id, amount_cents)
    try:
        answer = line.ask("POST", "/payments", body, {"Content-Type": offer.form.content_type})
        error = "" if answer.status == HTTPStatus.ACCEPTED else _told(answer)
        attempt = Attempt(at_ms, line.url, amount_cents, answer.status, error)
    except LineError as error:
        attempt = Attempt(at_ms, line.url, amount_cents, None, str(error))
    offer.attempts.append(attempt)
    return attempt


def _told(answer: Answer) -> str:
    return answer.body.decode(errors="replace")[:200]


def _is_committed(offer: Offer, line: Line) -> bool | None:
    """Ask whether a payment is in the books; None without an answer."""
    try:
        return line.ask("GET", f"/payments/{offer.correlation_id}").status == HTTPStatus.OK
    except LineError:
        return None
