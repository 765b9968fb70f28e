"""Persistence: gathers what is to be written into batches, and commits them to Postgres in order."""

import logging
from collections import deque
from collections.abc import Sequence
from typing import assert_never
from uuid import UUID

from actors.actor import Actor
from actors.domain.backoff import Backoff
from actors.domain.batching import BatchLimits, BatchSize, BatchSpacing
from actors.domain.payment import Claim, Move, Payment, Settlement
from actors.domain.records import KnownPayment, WriteResult
from actors.errors import LedgerUnavailableError
from actors.messages.intake import FirstAmountsFound, Recorded
from actors.messages.persistence import CommitDue, GetUnwritten, PersistenceMessage, Write
from actors.messages.router import Adopt, Written
from actors.ports import PaymentStore, Recipient, Runtime

logger = logging.getLogger(__name__)

COMMIT_BACKOFF = Backoff(first_s=0.02, longest_s=0.5)


class PersistenceActor(Actor):
    """Owns the batches. A batch that fails is tried again, whole and in order; nothing is dropped."""

    def __init__(
        self,
        *,
        payments: PaymentStore,
        intake: Recipient,
        router: Recipient,
        runtime: Runtime,
        limits: BatchLimits,
        replica: str,
    ) -> None:
        super().__init__()
        self._payments = payments
        self._intake = intake
        self._router = router
        self._runtime = runtime
        self._replica = replica
        self._size = BatchSize(limits.items_max)
        self._spacing = BatchSpacing(limits)
        self._claims: deque[Claim] = deque()
        self._moves: list[Move] = []
        self._settlements: list[Settlement] = []
        self._failures = 0
        self._commit_due = False

    def on_receive(self, message: PersistenceMessage) -> object:
        """Handle one message."""
        match message:
            case Write(claims, moves, settlements):
                self._claims.extend(claims)
                self._moves.extend(moves)
                self._settlements.extend(settlements)
                self._spacing.added(len(claims) + len(moves) + len(settlements), self._runtime.now_s())
            case CommitDue():
                self._commit_due = False
                if self._failures:
                    self._commit()
            case GetUnwritten():
                return self._waiting
            case _:
                assert_never(message)
        return None

    def on_drained(self) -> None:
        """Commit full batches, and what has waited for company for long enough."""
        while not self._failures and (self._waiting >= self._size.items or self._is_due()):
            self._commit()
        if self._waiting and not self._commit_due:
            self._commit_due = True
            wait_s = self._spacing.next_at_s - self._runtime.now_s()
            if self._failures:
                wait_s = COMMIT_BACKOFF.pause_s(self._failures)
            self._runtime.call_later(wait_s, self.tell_self, CommitDue())

    def _is_due(self) -> bool:
        return self._waiting > 0 and self._runtime.now_s() >= self._spacing.next_at_s

    def on_stop(self) -> None:
        """Write what waits, once; what fails now is found again in the journal or by asking the processors."""
        while self._waiting:
            self._commit()
            if self._failures:
                return

    @property
    def _waiting(self) -> int:
        return len(self._claims) + len(self._moves) + len(self._settlements)

    def _commit(self) -> None:
        size = self._size.items
        settlements = self._settlements[:size]
        moves = self._moves[: size - len(settlements)]
        claims = self._next_claims(size - len(settlements) - len(moves))
        started_s = self._runtime.now_s()
        self._spacing.written(started_s)
        try:
            result = self._payments.write(claims, moves, settlements)
        except LedgerUnavailableError as error:
            self._failures += 1
            self._size.failed()
            logger.warning("%d writes wait for Postgres (attempt %d): %s", self._waiting, self._failures, error)
            return
        self._failures = 0
        self.progressed()
        self._size.committed(self._runtime.now_s() - started_s)
        del self._settlements[: len(settlements)], self._moves[: len(moves)]
        self._drop_claims(claims)
        self._announce(claims, moves, settlements, result)

    def _next_claims(self, most: int) -> list[Claim]:
        """Take the oldest; of an id that waits more than once the first, so that the next batch compares amounts."""
        chosen: dict[UUID, Claim] = {}
        for claim in self._claims:
            if len(chosen) == most:
                break
            chosen.setdefault(claim.payment.correlation_id, claim)
        return list(chosen.values())

    def _drop_claims(self, written: list[Claim]) -> None:
        repeated = []
        for claim in written:
            while (first := self._claims.popleft()) is not claim:
                repeated.append(first)
        self._claims.extendleft(reversed(repeated))

    def _announce(
        self, claims: list[Claim], moves: list[Move], settlements: list[Settlement], result: WriteResult
    ) -> None:
        if claims:
            self._intake.tell(Recorded(tuple(claim.payment.correlation_id for claim in claims)))
        rejected = self._sort_out(claims, result.known) if result.known else ()
        moves_rejected = {move.correlation_id for move in moves}.difference(result.moved)
        settled = tuple(settlement.correlation_id for settlement in settlements)
        self._router.tell(Written(result.claimed, rejected, result.moved, tuple(moves_rejected), settled))

    def _sort_out(self, claims: list[Claim], known: Sequence[KnownPayment]) -> tuple[Payment, ...]:
        """Decide about ids that had a row: ours from before an interruption, somebody else's, or another amount.

        Returns:
            The payments that are not this replica's to charge.
        """
        offered = {claim.payment.correlation_id: claim.payment for claim in claims}
        conflicts: list[Payment] = []
        first: list[Payment] = []
        ours: list[Claim] = []
        rejected: list[Payment] = []
        for row in known:
            payment = offered[row.payment.correlation_id]
            if payment.money != row.payment.money:
                conflicts.append(payment)
                first.append(row.payment)
            elif row.owner == self._replica and row.processor is not None:
                ours.append(Claim(row.payment, row.processor))
                continue
            rejected.append(payment)
        if ours:
            # Perhaps this replica sent it before the interruption: only its row is known.
            self._router.tell(Adopt(tuple(ours), oldest_stamp_ms=0))
        if conflicts:
            self._intake.tell(FirstAmountsFound(tuple(first), is_news=True))
            self._report(conflicts)
        return tuple(rejected)

    def _report(self, conflicts: list[Payment]) -> None:
        for payment in conflicts:
            logger.warning(
                "%s was offered with another amount, %s %s: not charged",
                payment.correlation_id,
                payment.money.decimal,
                payment.currency,
            )
        try:
            self._payments.report_conflicts(conflicts)
        except LedgerUnavailableError as error:
            logger.warning("%d conflicting payments stand in the log alone: %s", len(conflicts), error)
