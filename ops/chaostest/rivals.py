"""Rivals: two amounts that were posted under one id at once. At rest every replica has to know which of them counts."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from uuid import UUID

from ops.chaostest.client import HttpClient, NoAnswerError, open_connection
from ops.chaostest.workload import OfferedAmount, OfferedPayment

RIVALS_MAX = 100
"""Ids that each replica is asked about, so that a long run does not end with a long list."""
TRIES_MAX = 20
TRY_STEP_S = 0.25


@dataclass(frozen=True, slots=True)
class RivalAnswer:
    """What a replica answered at rest to one of two amounts under an id."""

    url: str
    correlation_id: UUID
    amount: OfferedAmount
    status: int | None
    expected: int

    @property
    def is_right(self) -> bool:
        """Whether the recorded amount was accepted, or the other one refused."""
        return self.status == self.expected


def ask_rivals(
    offers: Iterable[OfferedPayment], recorded: Mapping[UUID, tuple[int, str]], urls: Sequence[str]
) -> list[RivalAnswer]:
    """Post both amounts of rivals to every replica, first the one that Postgres has.

    Args:
        offers: all offered payments; those without rivals and those without a row are left out.
        recorded: minor units and currency of each row in Postgres.
        urls: the addresses of the replicas that live.
    """
    rivals = [offer for offer in offers if offer.is_rival and offer.correlation_id in recorded][-RIVALS_MAX:]
    answers = []
    for url in urls:
        with open_connection(url) as connection:
            for offer in rivals:
                for amount in sorted(offer.amounts, key=lambda each: not _is_recorded(offer, each, recorded)):
                    won = _is_recorded(offer, amount, recorded)
                    expected = HTTPStatus.ACCEPTED if won else HTTPStatus.CONFLICT
                    status = _settle_on(connection, offer, amount, expected)
                    answers.append(RivalAnswer(url, offer.correlation_id, amount, status, expected))
    return answers


def _is_recorded(offer: OfferedPayment, amount: OfferedAmount, recorded: Mapping[UUID, tuple[int, str]]) -> bool:
    return recorded[offer.correlation_id] == (amount.minor, amount.code)


def _settle_on(
    connection: HttpClient, offer: OfferedPayment, amount: OfferedAmount, expected: HTTPStatus
) -> int | None:
    """Post an amount until the answer is the expected one, or cannot become it any more.

    A replica that has not heard of an id, because Redis was gone, may accept the other amount until Postgres refuses
    it. It never has a reason to refuse the amount that Postgres has.
    """
    status: int | None = None
    for _ in range(TRIES_MAX):
        body = offer.body_format.encode(offer.correlation_id, amount)
        try:
            status = connection.ask("POST", "/payments", body, {"Content-Type": offer.body_format.content_type}).status
        except NoAnswerError:
            status = None
        if status in {expected, HTTPStatus.CONFLICT}:
            break
        threading.Event().wait(TRY_STEP_S)
    return status
