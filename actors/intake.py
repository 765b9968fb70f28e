"""The intake: makes payments durable in groups, answers clients, and gives the router as many payments as it wants."""

from collections.abc import Callable, Sequence
from typing import assert_never

from actors.actor import Actor
from actors.domain.batching import BatchLimits, BatchSpacing
from actors.domain.dispatcher import WINDOW_MAX
from actors.domain.first_amounts import FirstAmounts, Verdict
from actors.domain.journal_runs import JournalRuns
from actors.domain.level import Level
from actors.domain.payment import Payment
from actors.errors import JournalUnavailableError
from actors.logs import get_logger
from actors.messages.gossip import Spread
from actors.messages.intake import (
    ANSWERS,
    Accept,
    AcceptAnswer,
    AcceptedByPeers,
    DecidedByPeers,
    DeliveryDue,
    FindAccepted,
    FirstAmountsFound,
    Found,
    GetIntakeStats,
    GetTakeOverRoom,
    GetWaiting,
    IntakeMessage,
    IntakeStats,
    LeaseHeld,
    Recorded,
    RowsCommitted,
    RowsDelayed,
    RowsDoubted,
    RowsOverdue,
    TakeOver,
    Want,
)
from actors.messages.router import Route
from actors.outages import TimedOutageReporter
from actors.ports import Journal, Recipient, Runtime

logger = get_logger(__name__)

GROUP_MAX = 256
"""Payments that one write and one sync make durable."""
UNREADABLE_S = 1.0
"""Time after which a journal that could not be read is tried again."""
DELIVERY_MAX = 250
"""Payments that the router is given at once, so that reading them from the disk does not hold up clients."""
TAKEN_OVER_SHARE = 0.5
"""Share of the journal beyond which no other journal is taken over, so that what others have left keeps no new payments
out."""


Reply = tuple[Callable[[AcceptAnswer], None], AcceptAnswer]
"""The function that answers a client, and the answer."""


class IntakeActor(Actor):
    """Owns the journal. It is the queue of the gateway: what the router does not want yet waits there, on the disk."""

    REFUSED_WHEN_FULL = (Accept, FindAccepted, GetIntakeStats)

    def __init__(
        self,
        *,
        journal: Journal,
        router: Recipient,
        gossip: Recipient,
        recent_max: int,
        runtime: Runtime,
        open_max: int,
        limits: BatchLimits,
        window_max: int = WINDOW_MAX,
    ) -> None:
        """Take over `journal`.

        `recent_max` ids are remembered with their amounts, and as many that other replicas told of; the journal may
        hold `open_max` payments before clients are refused. `limits` are those of the commits that follow: payments
        are given to the router in step with them. The router begins with room for `window_max` payments.
        """
        super().__init__()
        self._journal = journal
        self._router = router
        self._gossip = gossip
        self._recent_max = recent_max
        self._amounts = FirstAmounts(recent_max)
        self._decided = 0
        """How many ids Postgres told of while payments waited; these may have displaced ids that wait from memory."""
        self._runtime = runtime
        self._open_max = open_max
        self._wanted = window_max
        """How many payments the router waits for; it begins with an empty window."""
        self._appended = 0
        """How many payments were appended: the place of the next one."""
        self._replayed = JournalRuns()
        """Payments of an earlier run, and of other replicas' journals."""
        self._taken_over = 0
        self._spacing = BatchSpacing(limits)
        self._delivery_due = False
        self._group: list[Payment] = []
        self._replies: list[Reply] = []
        self._untold: list[Payment] = []
        """Payments that the other replicas have not been told of."""
        self._refused = TimedOutageReporter(logger, "payments are refused: the journal fails", runtime, "error")
        self._unreadable = TimedOutageReporter(logger, "payments wait: the journal cannot be read", runtime)
        self._left_there = TimedOutageReporter(logger, "payments of another journal cannot be taken over", runtime)

    def on_start(self) -> None:
        """Let everything that the journal of an earlier run holds wait for the router."""
        found = 0
        for payment in self._journal.rewind():
            self._amounts.take_over(payment)
            found += 1
            if found % GROUP_MAX == 0:
                self.let_others_run()
        self._count_appended(found, replayed=True)
        if found:
            logger.info("the journal holds payments of an earlier run", payments=found)
            self._schedule_delivery()

    def on_receive(self, message: IntakeMessage) -> object:  # noqa: C901, PLR0912  # one line for each message
        """Handle one message."""
        match message:
            case Accept():
                self._accept(message)
            case Recorded(correlation_ids):
                self._journal.committed(correlation_ids)
            case DeliveryDue():
                self._deliver()
            case Want(payments_wanted):
                self._wanted += payments_wanted
                if self._journal.waiting:
                    self._schedule_delivery()
            case AcceptedByPeers(payments):
                # Being told of a payment does not replace the journal: it is made durable here too.
                for payment in payments:
                    self._amounts.hear(payment)
            case DecidedByPeers(payments):
                for payment in payments:
                    self._amounts.hear_decided(payment)
            case FirstAmountsFound():
                self._decide(message)
            case RowsCommitted() | RowsDelayed() | RowsOverdue() | RowsDoubted() | LeaseHeld():
                self._ledger_changed(message)
            case GetTakeOverRoom():
                # Even the smallest journal takes one.
                return max(1, int(TAKEN_OVER_SHARE * self._open_max)) - self._journal.held
            case TakeOver(payments):
                return self._take_over(payments)
            case FindAccepted():
                return self._find(message)
            case GetWaiting():
                return self._journal.waiting
            case GetIntakeStats():
                held = Level(self._journal.held, self._open_max)
                return IntakeStats(held, *self._amounts.levels(), self._taken_over)
            case _:
                assert_never(message)
        return None

    def on_drained(self) -> None:
        """Make durable what came meanwhile, with one write and one sync, and answer."""
        if self._replies:
            self._flush()

    def _accept(self, message: Accept) -> None:
        if self._runtime.now_s() > message.wanted_until_s:
            return
        payment = message.payment
        verdict = self._amounts.judge(payment)
        if verdict is not Verdict.NEW:
            if any(each.correlation_id == payment.correlation_id for each in self._group):
                # It is answered once the first post is durable.
                self._replies.append((message.reply, ANSWERS[verdict]))
            else:
                # It is answered at once, whatever becomes of the group: what it repeats was kept before.
                message.reply(ANSWERS[verdict])
        elif self._journal.held + len(self._group) >= self._open_max:
            message.reply(AcceptAnswer.OVERLOADED)
        else:
            self._amounts.accept(payment)
            self._group.append(payment)
            self._replies.append((message.reply, AcceptAnswer.ACCEPTED))
        if len(self._replies) >= GROUP_MAX:
            self._flush()

    def _decide(self, message: FirstAmountsFound) -> None:
        for payment in message.payments:
            self._amounts.decide(payment)
        if not self._journal.waiting:
            self._decided = 0
        self._decided += len(message.payments)
        if message.is_news:
            self._gossip.tell(Spread((), message.payments))

    def _find(self, message: FindAccepted) -> Found:
        found = {each: self._amounts.get(each) for each in message.correlation_ids}
        waiting = self._journal.waiting
        return Found(
            {correlation_id: money for correlation_id, money in found.items() if money is not None},
            # The latest ids are remembered: those that wait, and those that Postgres has told of meanwhile.
            # Nobody knows what a segment holds that cannot be read.
            remembers_waiting=not self._journal.unread_segments
            and (not waiting or waiting + self._decided <= self._recent_max),
        )

    def _take_over(self, payments: tuple[Payment, ...]) -> bool:
        try:
            self._journal.append(payments)
        except JournalUnavailableError as error:
            self._left_there.failed(len(payments), reason=str(error))
            return False
        self._left_there.succeeded()
        self._taken_over += len(payments)
        self._count_appended(len(payments), replayed=True)
        for payment in payments:
            self._amounts.take_over(payment)
        self._schedule_delivery()
        return True

    def _flush(self) -> None:
        group, replies = self._group, self._replies
        self._group, self._replies = [], []
        try:
            if group:
                self._append(group)
        except JournalUnavailableError as error:
            self._refused.failed(len(group), reason=str(error))
            for payment in group:
                self._amounts.forget(payment)
            for reply, _ in replies:
                reply(AcceptAnswer.JOURNAL_UNAVAILABLE)
            return
        self._promise(group, replies)
        if group:
            self._refused.succeeded()
            self._count_appended(len(group), replayed=False)
            self._untold += group
            # Each payment is written twice: a claim, and a settlement.
            self._spacing.added(2 * len(group), self._runtime.now_s())
            self._schedule_delivery()

    def _append(self, group: Sequence[Payment]) -> None:
        """Write a group to the journal.

        Raises:
            JournalUnavailableError: nothing of it is kept.
        """
        self._journal.append(group)

    def _promise(self, group: Sequence[Payment], replies: Sequence[Reply]) -> None:
        """Answer clients whose payments stand in the journal; `group` holds the new payments, in the same order."""
        del group
        for reply, answer in replies:
            reply(answer)

    def _ledger_changed(self, message: RowsCommitted | RowsDelayed | RowsOverdue | RowsDoubted | LeaseHeld) -> None:
        """React to what became of rows that clients wait for. Here they wait for none: the journal is durable."""

    def _next_alike(self, place: int, waiting: int) -> tuple[int, bool]:
        """Tell how many payments from a place on may go to the router together, and whether all of these have rows."""
        del place
        return waiting, False

    def _count_appended(self, count: int, *, replayed: bool) -> None:
        if replayed:
            self._replayed.mark(self._appended, self._appended + count)
        self._appended += count

    def _schedule_delivery(self, wait_s_min: float = 0.0) -> None:
        if not self._delivery_due:
            self._delivery_due = True
            wait_s = self._spacing.next_at_s - self._runtime.now_s()
            self._runtime.call_later(max(wait_s, wait_s_min), self.tell_self, DeliveryDue())

    def _deliver(self) -> None:
        self._delivery_due = False
        self._spacing.written(self._runtime.now_s())
        waiting = self._journal.waiting
        place = self._appended - waiting
        replayed, alike = self._replayed.next_run(place, waiting)
        alike, have_rows = self._next_alike(place, alike)
        if self._untold:
            self._gossip.tell(Spread(tuple(self._untold)))
            self._untold = []
        try:
            payments = self._journal.take(min(self._wanted, DELIVERY_MAX, alike))
        except JournalUnavailableError as error:
            self._unreadable.failed(payments_waiting=self._journal.waiting, reason=str(error))
            self._schedule_delivery(UNREADABLE_S)
            return
        self._unreadable.succeeded()
        self._wanted -= len(payments)
        # If records were damaged, nobody knows which others were taken in their place.
        replayed = replayed or waiting - self._journal.waiting > len(payments)
        ids = frozenset(payment.correlation_id for payment in payments) if replayed else frozenset()
        have_rows = have_rows and not replayed
        self._router.tell(Route(tuple(payments), self._journal.waiting, ids, have_rows))
        if have_rows:
            self._journal.committed([payment.correlation_id for payment in payments])
        if self._wanted and self._journal.waiting and alike:
            self._schedule_delivery()
