"""The intake of a replica whose clients are answered after the commit of their payments' rows in Postgres."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any, assert_never
from uuid import UUID

from actors.domain.first_amounts import Verdict
from actors.domain.journal_runs import JournalRuns
from actors.domain.payment import Payment
from actors.errors import JournalUnavailableError
from actors.intake import GROUP_MAX, IntakeActor, Reply
from actors.logs import get_logger
from actors.messages.intake import Accept, AcceptAnswer, LeaseHeld, RowsCommitted, RowsDelayed, RowsDoubted, RowsOverdue
from actors.messages.persistence import Record
from actors.outages import TimedOutageReporter
from actors.ports import Recipient

logger = get_logger(__name__)

ROWS_S_MAX = 1.0
"""How long clients wait for a commit before Postgres counts as away."""


@dataclass(slots=True)
class AwaitedRow:
    """A payment that stands in the journal, and whose row is not known to be committed."""

    payment: Payment
    place: int
    """Its place in the journal."""
    since_s: float
    replies: list[Reply]
    """The clients that wait for it; those that were answered because it takes long are not among them."""


class LedgerIntakeActor(IntakeActor):
    """Appends each group to the journal, which stays the queue of the gateway, and answers once Postgres has its rows.

    The rows are this replica's and name no processor, so that whoever adopts them after the loss of this host may
    charge them anywhere. A payment goes to the router after its row is committed, which the router is told.

    Postgres counts as away while this replica has no lease, while commits fail, and while one takes too long. Then
    clients are refused before anything is written; or, where the journal takes over, each group is synced instead, and
    has its rows claimed later as without a ledger.
    """

    def __init__(self, *, persistence: Recipient, journal_takes_over: bool, **others: Any) -> None:  # noqa: ANN401  # those of `IntakeActor`
        super().__init__(**others)
        self._persistence = persistence
        self._journal_takes_over = journal_takes_over
        self._awaited: dict[UUID, AwaitedRow] = {}
        """Payments that wait for their rows, in the order of their places."""
        self._with_rows = JournalRuns()
        """Payments of the journal whose rows name no processor."""
        self._relies_on_rows = True
        """Whether the journal may forget payments with rows when the router has them. It may not once Postgres may have
        forgotten rows: the router then claims all anew, and holds what waits for a processor in memory alone."""
        self._again: list[Accept] = []
        """Posts of ids that were accepted before, and whose rows are not known to be committed."""
        self._leased_until_s = -inf
        self._is_delayed = False
        """Whether commits fail or take too long."""
        self._is_away = True
        """Whether Postgres was away when the last group was made durable."""
        self._is_check_due = False
        instead = "answered from the journal" if self._journal_takes_over else "refused"
        self._away = TimedOutageReporter(logger, f"payments are {instead}: Postgres is away", self._runtime)

    def on_drained(self) -> None:
        """Make durable what came meanwhile."""
        if self._replies or self._again:
            self._flush()

    def on_stop(self) -> None:
        """Answer the clients that still wait: what is left in persistence's mailbox is committed all the same."""
        for row in self._awaited.values():
            _answer_all(row, lambda _: AcceptAnswer.IN_DOUBT)

    def _accept(self, message: Accept) -> None:
        key = message.payment.correlation_id
        if self._amounts.judge(message.payment) is not Verdict.REPEATED or self._amounts.is_decided(key):
            super()._accept(message)
        elif self._runtime.now_s() <= message.wanted_until_s:
            self._again.append(message)
            if len(self._again) >= GROUP_MAX:
                self._flush()

    def _flush(self) -> None:
        again, self._again = self._again, []
        self._is_away = self._is_delayed or self._runtime.now_s() >= self._leased_until_s
        if self._is_away:
            self._away.failed(len(self._replies) + len(again))
            if not self._journal_takes_over:
                self._refuse(again)
                return
        new = {payment.correlation_id for payment in self._group}
        in_group = set(new)
        again = [each if each.payment.correlation_id in new else _perhaps_kept(each) for each in again]
        joining = [each for each in again if not self._write_again(each, in_group)]
        once_more = self._group[len(new) :]
        super()._flush()
        for payment in once_more:
            # A group that could not be written is forgotten, but these may stand in the journal before it.
            self._amounts.take_over(payment)
        for each in joining:
            row = self._awaited.get(each.payment.correlation_id)
            if row is None:
                # The group that it stood in could not be written.
                each.reply(AcceptAnswer.JOURNAL_UNAVAILABLE)
            else:
                row.replies.append((each.reply, AcceptAnswer.REPEATED))

    def _refuse(self, again: Sequence[Accept]) -> None:
        """Refuse all that came, before anything of it is written."""
        group, replies = self._group, self._replies
        self._group, self._replies = [], []
        for payment in group:
            self._amounts.forget(payment)
        for reply, answer in replies:
            reply(AcceptAnswer.LEDGER_UNAVAILABLE if answer is AcceptAnswer.ACCEPTED else answer)
        for each in again:
            # Nobody knows what became of the first post, unless it was in this group.
            is_new = self._amounts.judge(each.payment) is Verdict.NEW
            each.reply(AcceptAnswer.LEDGER_UNAVAILABLE if is_new else AcceptAnswer.IN_DOUBT)

    def _write_again(self, message: Accept, in_group: set[UUID]) -> bool:
        """Add an id to the group once more, or return False if it can wait for a row that is on its way.

        What an earlier group or an earlier run wrote may not be synced, and its row may not be on its way. Writing it
        once more does no harm.
        """
        key = message.payment.correlation_id
        if not self._is_away and (key in in_group or key in self._awaited):
            return False
        if key in in_group:
            self._replies.append((message.reply, AcceptAnswer.ACCEPTED))
            return True
        if self._journal.held + len(self._group) >= self._open_max:
            message.reply(AcceptAnswer.IN_DOUBT)
            return True
        in_group.add(key)
        self._group.append(message.payment)
        self._replies.append((message.reply, AcceptAnswer.ACCEPTED))
        return True

    def _append(self, group: Sequence[Payment]) -> None:
        self._journal.append(group, synced=self._is_away)

    def _promise(self, group: Sequence[Payment], replies: Sequence[Reply]) -> None:
        if self._is_away:
            for reply, answer in replies:
                reply(AcceptAnswer.JOURNALLED if answer is AcceptAnswer.ACCEPTED else answer)
            return
        places = enumerate(group, self._appended)
        for reply, answer in replies:
            if answer is AcceptAnswer.ACCEPTED:
                place, payment = next(places)
                self._await_row(payment, place, (reply, answer))
            else:
                reply(answer)
        if group:
            self._persistence.tell(Record(tuple(group)))
            self._schedule_check()

    def _await_row(self, payment: Payment, place: int, reply: Reply) -> None:
        row = self._awaited.get(payment.correlation_id)
        if row is None:
            self._awaited[payment.correlation_id] = AwaitedRow(payment, place, self._runtime.now_s(), [reply])
        else:
            row.replies.append(reply)

    def _ledger_changed(self, message: RowsCommitted | RowsDelayed | RowsOverdue | RowsDoubted | LeaseHeld) -> None:
        match message:
            case RowsCommitted():
                self._rows_committed(message)
            case RowsDelayed():
                self._delay()
            case RowsOverdue():
                self._is_check_due = False
                oldest = next(iter(self._awaited.values()), None)
                if oldest is not None and self._runtime.now_s() - oldest.since_s >= ROWS_S_MAX:
                    self._delay()
                elif oldest is not None:
                    self._schedule_check()
            case RowsDoubted():
                self._with_rows, self._relies_on_rows = JournalRuns(), False
            case LeaseHeld(until_s):
                self._leased_until_s = until_s
            case _:
                assert_never(message)

    def _rows_committed(self, message: RowsCommitted) -> None:
        self._is_delayed = False
        self._away.succeeded()
        for key in message.unnamed:
            if (row := self._awaited.pop(key, None)) is not None:
                if self._relies_on_rows:
                    self._with_rows.mark(row.place, row.place + 1)
                self._amounts.decide(row.payment)
                _answer_all(row, lambda answer: answer)
        for key in message.known:
            if (row := self._awaited.pop(key, None)) is not None:
                self._amounts.decide(row.payment)
                _answer_all(row, lambda answer: answer)
        for key in message.refused:
            if (row := self._awaited.pop(key, None)) is not None:
                _answer_all(row, lambda _: AcceptAnswer.CONFLICT)
        if self._journal.waiting:
            self._schedule_delivery()

    def _delay(self) -> None:
        """Let nobody wait for rows any more, until some are committed: Postgres is away."""
        self._is_delayed = True
        answer = AcceptAnswer.IN_DOUBT
        if self._journal_takes_over:
            try:
                self._journal.sync()
                answer = AcceptAnswer.JOURNALLED
            except JournalUnavailableError as error:
                logger.warning("the journal cannot take over", reason=str(error))
        for row in self._awaited.values():
            _answer_all(row, lambda _: answer)

    def _schedule_check(self) -> None:
        if not self._is_check_due:
            self._is_check_due = True
            self._runtime.call_later(ROWS_S_MAX, self.tell_self, RowsOverdue())

    def _next_alike(self, place: int, waiting: int) -> tuple[int, bool]:
        """Keep what has no row yet from being given: its row is on its way, and a claim would find it."""
        first = next(iter(self._awaited.values()), None)
        if first is not None:
            waiting = min(waiting, max(0, first.place - place))
        have_rows, alike = self._with_rows.next_run(place, waiting)
        return alike, have_rows


def _perhaps_kept(message: Accept) -> Accept:
    """Keep a reply from saying that nothing was kept, since an earlier post of the same id may have been."""
    told = {AcceptAnswer.JOURNAL_UNAVAILABLE: AcceptAnswer.IN_DOUBT}
    return replace(message, reply=lambda answer: message.reply(told.get(answer, answer)))


def _answer_all(row: AwaitedRow, answer_for: Callable[[AcceptAnswer], AcceptAnswer]) -> None:
    replies, row.replies = row.replies, []
    for reply, answer in replies:
        reply(answer_for(answer))
