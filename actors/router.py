"""The router: drives every payment of this replica from its journal record to its settlement."""

from collections.abc import Mapping
from typing import assert_never

from actors.actor import Actor
from actors.domain.dispatcher import Dispatcher
from actors.domain.history_questions import told_history
from actors.domain.resolution import Resolution
from actors.domain.routing import UNLOGGED, USUAL, Choice
from actors.domain.work import Work
from actors.logs import get_logger
from actors.messages.intake import Recorded, Want
from actors.messages.persistence import Write
from actors.messages.processor import Charge, LookUp
from actors.messages.router import (
    Adopt,
    AvailabilityChanged,
    BeginAdoption,
    ChargesEnded,
    DecisionDue,
    EndAdoption,
    GetBeingWritten,
    GetDriven,
    GetDrivenCount,
    GetHistory,
    GetRouterStats,
    GetUncommitted,
    LookUpsEnded,
    Resolve,
    Route,
    RouterMessage,
    RouterStats,
    StoreChanged,
    Written,
)
from actors.outages import TimedOutageReporter
from actors.ports import Recipient, Runtime
from actors.timer import Timer

logger = get_logger(__name__)

UNRESOLVED_S = 60.0
"""After this time an unknown outcome is reported, and still tried."""


class RouterActor(Actor):
    """Tells the dispatcher what has happened, and carries out what it decides, once for all messages that waited."""

    REFUSED_WHEN_FULL = (GetRouterStats, GetDriven, GetHistory)

    def __init__(
        self,
        *,
        dispatcher: Dispatcher,
        processors: Mapping[str, Recipient],
        intake: Recipient,
        persistence: Recipient,
        runtime: Runtime,
        replica: str,
    ) -> None:
        """`processors` leads from each processor's name to its actor."""
        super().__init__()
        self._replica = replica
        self._dispatcher = dispatcher
        self._processors = processors
        self._intake = intake
        self._persistence = persistence
        self._runtime = runtime
        self._timer = Timer(runtime, self.tell_self, DecisionDue())
        self._elsewhere = TimedOutageReporter(logger, "payments do not go where they usually do", runtime, "info")
        self._told: set[Choice] = set()
        """Choices that were logged since payments last went where they usually do."""
        self._uncharged = TimedOutageReporter(logger, "a payment is not charged", runtime, "error")
        self._unasked = TimedOutageReporter(
            logger, "payments may be charged late, and are not looked up again", runtime
        )

    def on_receive(self, message: RouterMessage) -> object:  # noqa: C901, PLR0911, PLR0912  # a line for each message
        """Handle one message; ids that are not driven here are ignored."""
        dispatcher, now_s = self._dispatcher, self._runtime.now_s()
        match message:
            case Route(payments, behind, replayed, have_rows):
                dispatcher.accepted(payments, behind, now_s, replayed, have_rows=have_rows)
            case Written():
                dispatcher.claimed(message.claimed, now_s)
                dispatcher.claims_rejected(message.claims_rejected, now_s)
                dispatcher.moved(message.moved, now_s)
                dispatcher.moves_rejected(message.moves_rejected, now_s)
                dispatcher.settled(message.settled, now_s)
                dispatcher.closed(message.closed, now_s)
            case ChargesEnded(ends):
                dispatcher.charges_ended(ends, now_s)
            case LookUpsEnded(look_ups):
                dispatcher.look_ups_ended(look_ups, now_s)
            case AvailabilityChanged(availability):
                dispatcher.availability_changed(availability, now_s)
            case Adopt(claims, oldest_stamp_ms):
                dispatcher.adopted(claims, oldest_stamp_ms, now_s)
            case StoreChanged():
                dispatcher.store_changed(now_s, self._runtime.now_ms())
            case Resolve(Resolution(number, finding), reopened, ended):
                return dispatcher.resolved(finding, reopened, ended, now_s, self._runtime.now_ms(), number)
            case DecisionDue():
                self._timer.fired()
            case GetUncommitted():
                return dispatcher.watermarks()
            case GetBeingWritten():
                return dispatcher.being_written()
            case GetDrivenCount():
                return dispatcher.driven_count()
            case BeginAdoption():
                return dispatcher.begin_adoption()
            case EndAdoption():
                dispatcher.end_adoption()
            case GetDriven(correlation_id):
                return dispatcher.describe(correlation_id)
            case GetHistory(correlation_id):
                return told_history(dispatcher.history(correlation_id), self._replica, now_s, self._runtime.now_ms())
            case GetRouterStats():
                unresolved = dispatcher.unknown_for(UNRESOLVED_S, now_s)
                decisions, waited_for_s = dict(dispatcher.routes.decisions), dispatcher.routes.waited_for_s(now_s)
                adopted, levels = dispatcher.adopted_in_all, dispatcher.levels()
                return RouterStats(dispatcher.counts(), unresolved, decisions, adopted, waited_for_s, *levels)
            case _:
                assert_never(message)
        return None

    def on_drained(self) -> None:
        """Carry out what follows from all that was received."""
        now_s = self._runtime.now_s()
        work = self._dispatcher.decide(now_s, self._runtime.now_ms())
        self._carry_out(work)
        self._log(work)
        self._timer.set(self._dispatcher.wakes_at_s(now_s))

    def _carry_out(self, work: Work) -> None:
        if work.claims or work.moves or work.settlements or work.closings or work.marks:
            self._persistence.tell(
                Write(
                    tuple(work.claims),
                    tuple(work.moves),
                    tuple(work.settlements),
                    tuple(work.closings),
                    tuple(work.marks),
                )
            )
        for name, payments in work.charges.items():
            self._processors[name].tell(Charge(tuple(payments)))
        for name, payments in work.look_ups.items():
            self._processors[name].tell(LookUp(tuple(payments)))
        if work.recorded:
            self._intake.tell(Recorded(tuple(work.recorded)))
        if work.wanted:
            self._intake.tell(Want(work.wanted))

    def _log(self, work: Work) -> None:
        for closing in work.closings:
            key, state, name = closing.correlation_id, closing.state.value, closing.processor
            self._uncharged.occurred(correlation_id=key, state=state, processor=name)
        if work.rechecks_dropped:
            self._unasked.occurred(work.rechecks_dropped)
        for choice in work.choices:
            if choice.reason in USUAL:
                self._elsewhere.succeeded()
            elif choice.reason not in UNLOGGED:
                if not self._elsewhere.is_open:
                    self._told.clear()
                is_new = choice not in self._told
                self._told.add(choice)
                self._elsewhere.failed(is_new=is_new, processor=choice.processor, reason=choice.reason.value)
