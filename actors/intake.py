"""The intake: makes payments durable in groups, answers their clients, bounds what waits."""

import logging
from collections.abc import Callable, Sequence
from uuid import UUID

from actors.actor import Actor
from actors.domain.messages import (
    Accept,
    AcceptAnswer,
    Accepted,
    Backlog,
    Committed,
    Driven,
    Known,
    Route,
    Settled,
    TakeOver,
)
from actors.domain.payment import Payment
from actors.domain.recent import RecentPayments
from actors.errors import JournalUnavailableError
from actors.ports import Journal, Recipient, Runtime

logger = logging.getLogger(__name__)

GROUP_MAX = 256
"""Payments that one write and one sync make durable."""


class IntakeActor(Actor):
    """Owns the journal and what waits for Postgres."""

    REFUSED_WHEN_FULL = (Accept,)

    def __init__(
        self,
        *,
        journal: Journal,
        router: Recipient,
        gossip: Recipient,
        recent_max: int,
        runtime: Runtime,
        open_max: int,
    ) -> None:
        """Take over `journal`.

        `recent_max` ids are remembered with their amounts, and as many that other replicas told of; `open_max` accepted
        payments may be unsettled before clients are refused.
        """
        super().__init__()
        self._journal = journal
        self._router = router
        self._gossip = gossip
        self._recent = RecentPayments(recent_max)
        self._heard = RecentPayments(recent_max)
        self._runtime = runtime
        self._open_max = open_max
        self._open: set[UUID] = set()
        self._uncommitted: set[UUID] = set()
        self._group: dict[UUID, Payment] = {}
        self._replies: list[tuple[Callable[[AcceptAnswer], None], AcceptAnswer]] = []

    def on_start(self) -> None:
        """Hand over what the journal of an earlier run still holds."""
        payments = tuple(self._journal.replay())
        self._remember(self._recent, payments)
        if payments:
            logger.info("the journal holds %d payments of an earlier run", len(payments))
            self._hand_over(payments)

    def on_receive(self, message: object) -> object:
        """Handle one message of `actors.domain.messages`."""
        answer: object = None
        match message:
            case Accept():
                self._accept(message)
            case Known(payments, certain):
                # What is only heard never stands in for the journal: the same amount again is made durable here too.
                self._remember(self._recent if certain else self._heard, payments)
            case Committed(correlation_ids):
                self._uncommitted.difference_update(correlation_ids)
                self._journal.committed(correlation_ids)
            case Driven(correlation_ids):
                self._open.update(correlation_ids)
            case Settled(correlation_ids):
                self._open.difference_update(correlation_ids)
            case TakeOver(payments):
                answer = self._take_over(payments)
            case Backlog():
                answer = len(self._uncommitted)
        # One write and one sync for all that came meanwhile.
        if self._replies and (self.actor_inbox.empty() or len(self._replies) >= GROUP_MAX):
            self._flush()
        return answer

    def on_stop(self) -> None:
        """Answer those whose group would have been written next."""
        if self._replies:
            self._flush()

    def _accept(self, message: Accept) -> None:
        if self._runtime.now_s() > message.wanted_until_s:
            return
        payment = message.payment
        known_cents = self._recent.amount_cents(payment.correlation_id)
        heard_cents = self._heard.amount_cents(payment.correlation_id)
        if known_cents == payment.amount_cents:
            self._answer_with_group(message.reply, AcceptAnswer.REPEATED)
        elif known_cents is not None or heard_cents not in {None, payment.amount_cents}:
            self._answer_with_group(message.reply, AcceptAnswer.CONFLICT)
        elif len(self._open) + len(self._group) >= self._open_max:
            message.reply(AcceptAnswer.OVERLOADED)
        else:
            self._recent.remember(payment.correlation_id, payment.amount_cents)
            self._group[payment.correlation_id] = payment
            self._answer_with_group(message.reply, AcceptAnswer.ACCEPTED)

    @staticmethod
    def _remember(memory: RecentPayments, payments: Sequence[Payment]) -> None:
        for payment in payments:
            memory.remember(payment.correlation_id, payment.amount_cents)

    def _take_over(self, payments: tuple[Payment, ...]) -> bool:
        try:
            self._journal.append(payments)
        except JournalUnavailableError as error:
            logger.warning("%d payments of another journal stay there: %s", len(payments), error)
            return False
        self._hand_over(payments)
        return True

    def _answer_with_group(self, reply: Callable[[AcceptAnswer], None], answer: AcceptAnswer) -> None:
        # A repeated post may not be answered before the first one is durable.
        self._replies.append((reply, answer))

    def _flush(self) -> None:
        group, replies = tuple(self._group.values()), self._replies
        self._group, self._replies = {}, []
        try:
            if group:
                self._journal.append(group)
        except JournalUnavailableError as error:
            logger.error("%d payments are refused: %s", len(group), error)  # noqa: TRY400  # the cause is in the message
            for payment in group:
                self._recent.forget(payment.correlation_id)
            for reply, _ in replies:
                reply(AcceptAnswer.JOURNAL_UNAVAILABLE)
            return
        for reply, answer in replies:
            reply(answer)
        if group:
            self._hand_over(group)
            self._gossip.tell(Accepted(group))

    def _hand_over(self, payments: tuple[Payment, ...]) -> None:
        ids = [payment.correlation_id for payment in payments]
        self._open.update(ids)
        self._uncommitted.update(ids)
        self._router.tell(Route(payments))
