"""Persistence: gathers what is to be written into batches, and commits them to Postgres in order."""

import logging
from collections import deque
from uuid import UUID

from actors.actor import Actor
from actors.domain.backoff import Backoff
from actors.domain.batching import BatchLimits, BatchSize
from actors.domain.messages import (
    Adopt,
    Assign,
    Assigned,
    Backlog,
    Claim,
    Committed,
    Disowned,
    Known,
    Move,
    Moved,
    MoveRefused,
    Settle,
    Settled,
    Tick,
)
from actors.domain.payment import Payment, Settlement
from actors.errors import LedgerUnavailableError
from actors.ports import Ledger, Recipient, Runtime, WriteResult

logger = logging.getLogger(__name__)

COMMIT_BACKOFF = Backoff(first_s=0.02, longest_s=0.5)


class PersistenceActor(Actor):
    """Owns the batches. A batch that fails is tried again, whole and in order; nothing is dropped."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        intake: Recipient,
        router: Recipient,
        runtime: Runtime,
        limits: BatchLimits,
        replica: str,
    ) -> None:
        super().__init__()
        self._ledger = ledger
        self._intake = intake
        self._router = router
        self._runtime = runtime
        self._limits = limits
        self._replica = replica
        self._size = BatchSize(limits.items_max)
        self._claims: deque[Claim] = deque()
        self._moves: list[Move] = []
        self._settlements: list[Settlement] = []
        self._failures = 0
        self._tick_due = False

    def on_receive(self, message: object) -> object:
        """Handle one message of `actors.domain.messages`."""
        match message:
            case Assign(claims):
                self._claims.extend(claims)
            case Move():
                self._moves.append(message)
            case Settle(settlement):
                self._settlements.append(settlement)
            case Tick():
                self._tick_due = False
                self._commit()
            case Backlog():
                return self._waiting
        while self._waiting >= self._size.items and not self._failures:
            self._commit()
        if self._waiting and not self._tick_due:
            self._schedule()
        return None

    def on_stop(self) -> None:
        """Write what waits, once; what fails now is found again in the journal or by asking the processors."""
        if self._waiting:
            self._commit()

    @property
    def _waiting(self) -> int:
        return len(self._claims) + len(self._moves) + len(self._settlements)

    def _schedule(self) -> None:
        self._tick_due = True
        delay_s = COMMIT_BACKOFF.pause_s(self._failures) if self._failures else self._limits.wait_s_max
        self._runtime.call_later(delay_s, self.tell_self, Tick())

    def _commit(self) -> None:
        size = self._size.items
        settlements = self._settlements[:size]
        moves = self._moves[: size - len(settlements)]
        claims = self._next_claims(size - len(settlements) - len(moves))
        started_s = self._runtime.now_s()
        try:
            result = self._ledger.write(claims, moves, settlements)
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
            self._intake.tell(Committed(tuple(claim.payment.correlation_id for claim in claims)))
        if result.assigned:
            self._router.tell(Assigned(result.assigned))
        if result.known:
            self._sort_out(claims, result)
        if result.moved:
            self._router.tell(Moved(result.moved))
        if len(result.moved) < len(moves):
            refused = tuple({move.correlation_id for move in moves}.difference(result.moved))
            self._router.tell(MoveRefused(refused))
            self._intake.tell(Settled(refused))
        if settlements:
            settled = Settled(tuple(settlement.correlation_id for settlement in settlements))
            self._router.tell(settled)
            self._intake.tell(settled)

    def _sort_out(self, claims: list[Claim], result: WriteResult) -> None:
        """Decide about ids that had a row: ours from before an interruption, somebody else's, or another amount."""
        offered = {claim.payment.correlation_id: claim.payment for claim in claims}
        conflicts: list[Payment] = []
        first: list[Payment] = []
        ours: list[Claim] = []
        others: list[Payment] = []
        for known in result.known:
            payment = offered[known.payment.correlation_id]
            if payment.amount_cents != known.payment.amount_cents:
                conflicts.append(payment)
                first.append(known.payment)
            elif known.owner == self._replica and known.processor is not None:
                ours.append(Claim(known.payment, known.processor))
                continue
            others.append(payment)
        if ours:
            # Perhaps this replica sent it before the interruption: only its row is known.
            self._router.tell(Adopt(tuple(ours), oldest_stamp_ms=0))
        if others:
            self._router.tell(Disowned(tuple(others)))
            self._intake.tell(Settled(tuple(payment.correlation_id for payment in others)))
        if conflicts:
            self._intake.tell(Known(tuple(first), certain=True))
            self._report(conflicts)

    def _report(self, conflicts: list[Payment]) -> None:
        for payment in conflicts:
            logger.warning(
                "%s was offered with another amount, %d cents: not charged",
                payment.correlation_id,
                payment.amount_cents,
            )
        try:
            self._ledger.report_conflicts(conflicts)
        except LedgerUnavailableError as error:
            logger.warning("%d conflicting payments stand in the log alone: %s", len(conflicts), error)
