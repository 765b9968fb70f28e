"""Clients try again until they have a definite answer, and post another amount only after the first is committed."""

import json
import threading
from collections import defaultdict
from collections.abc import Callable
from uuid import UUID

import msgspec
import pytest

from ops.chaostest.load_generator import LoadGenerator
from ops.chaostest.workload import OfferedPayment
from tests.waiting import wait_until

Reply = tuple[int, dict[str, str], bytes] | None
Serve = Callable[[Callable[[str, str, bytes], Reply]], str]
OFFERING_S_MAX = 60
OFFERED_MIN = 250


def read_id(body: bytes) -> UUID:
    if body.startswith(b"{"):
        return UUID(json.loads(body)["correlationId"])
    posted = msgspec.msgpack.decode(body)
    return UUID(posted["correlationId"]) if isinstance(posted, dict) else UUID(bytes=posted[0])


class HesitantGateway:
    """Answers 503 first, then hangs up, then accepts; lists a payment once it was accepted."""

    def __init__(self) -> None:
        self.posts: dict[UUID, int] = defaultdict(int)
        self.offered: dict[UUID, set[bytes]] = defaultdict(set)
        self._lock = threading.Lock()

    def reply(self, method: str, path: str, body: bytes) -> Reply:
        with self._lock:
            if method == "GET":
                is_committed = self.posts[UUID(path.rpartition("/")[2])] > 2
                return (200, {}, b'{"processor": "default"}') if is_committed else (200, {}, b'{"processor": null}')
            correlation_id = read_id(body)
            self.posts[correlation_id] += 1
            self.offered[correlation_id].add(body)
            match self.posts[correlation_id]:
                case 1:
                    return 503, {"Retry-After": "1"}, b"too many payments are waiting"
                case 2:
                    return None
                case _:
                    return (202 if len(self.offered[correlation_id]) == 1 else 409), {}, b""


@pytest.fixture
def offers(serve: Serve) -> list[OfferedPayment]:
    """The payments that were offered until there were some of each kind, with their attempts."""
    clients = LoadGenerator([serve(HesitantGateway().reply)], rate=200, seconds=OFFERING_S_MAX, seed=3)
    clients.start()
    try:
        wait_until(lambda: len(clients.offers) >= OFFERED_MIN)
        clients.stop_offering()
        wait_until(lambda: clients.unfinished == 0)
        return clients.offers
    finally:
        clients.stop()


def test_a_client_tries_again_until_it_has_a_definite_answer(offers: list[OfferedPayment]) -> None:
    careful = [offer for offer in offers if not offer.gives_up and offer.repeat_after_s is None and not offer.is_rival]
    assert careful
    for offer in careful:
        *before, last = [attempt.status for attempt in offer.attempts if attempt.amount == offer.amount]
        assert last == 202
        assert set(before) == {503, None}


def test_each_answer_tells_how_long_it_took_and_whether_it_names_a_time_to_come_again(
    offers: list[OfferedPayment],
) -> None:
    attempts = [attempt for offer in offers for attempt in offer.attempts]
    assert all(0 < attempt.took_s < OFFERING_S_MAX for attempt in attempts)
    assert {attempt.status for attempt in attempts if attempt.says_when} == {503}


def test_a_client_that_gives_up_posts_once(offers: list[OfferedPayment]) -> None:
    hasty = [offer for offer in offers if offer.gives_up and offer.repeat_after_s is None and not offer.is_rival]
    assert hasty
    assert {len(offer.attempts) for offer in hasty} == {1}


def test_some_payments_are_posted_again_with_the_same_amount(offers: list[OfferedPayment]) -> None:
    repeated = [offer for offer in offers if offer.repeat_after_s is not None and not offer.gives_up]
    assert repeated
    for offer in repeated:
        assert {attempt.amount for attempt in offer.attempts} == {offer.amount}
        assert offer.accepted


def test_another_amount_is_posted_only_after_the_first_is_committed(offers: list[OfferedPayment]) -> None:
    others = [offer for offer in offers if offer.other_amount is not None and not offer.is_rival and offer.accepted]
    assert others
    for offer in others:
        before, other = offer.attempts[-2:]
        assert (before.amount, before.status) == (offer.amount, 202)
        assert (other.amount, other.status) == (offer.other_amount, 409)


def test_rivals_are_posted_at_once_and_the_other_amount_once(offers: list[OfferedPayment]) -> None:
    rivals = [offer for offer in offers if offer.is_rival]
    assert rivals
    for offer in rivals:
        first, second = sorted(offer.attempts, key=lambda attempt: attempt.at_ms)[:2]
        assert {first.amount, second.amount} == set(offer.amounts)
        assert [attempt.amount for attempt in offer.attempts].count(offer.amounts[1]) == 1
