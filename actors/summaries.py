"""Adds up what each processor has charged, for a limited number of clients at a time."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeVar

from actors.domain.level import Level
from actors.domain.money import Money
from actors.domain.processors import EVENT_NAMES
from actors.domain.records import NEVER_MS, LedgerSummary, ProcessorTotal, Watermarks
from actors.errors import GatewayUnavailableError
from actors.ports import PaymentStore, Runtime

Answer = TypeVar("Answer")

SUMMARY_S_MAX = 1.0
"""How long the summary of a window that has ended waits for answers of processors to be committed."""
PRESENT_S_MAX = 0.5
"""How long the summary of a window that reaches up to the present waits for what is under way."""
PRESENT_MS = 500
"""A window that ends less than this before the question counts as reaching up to the present: a client that asks for
one that ends now has read its clock a little earlier."""
STAMPED_MS_MAX = 100
"""Time from the acceptance of a payment to its stamp, where a processor has room: a delivery and a commit."""
SUMMARY_STEP_S = 0.04
"""Time between two reads of the watermarks, which all that wait share."""
ASKERS_MAX = 64
"""How many may wait for summaries and lists at once; one more is refused."""
AT_ONCE_MAX = 1
"""How many of them may ask Postgres at once. A question for one payment uses the same connection, and so waits for one
of them at most."""
TOO_MANY = "too many ask for summaries or lists at once"
TURN_S_MAX = 2 * PRESENT_S_MAX + SUMMARY_S_MAX
"""How long a client waits for the summary of the same window that another reads; then it is read for that one alone."""


@dataclass(frozen=True, slots=True)
class WindowSummary:
    """Totals of a window by processor; both names of the event are always there."""

    totals: dict[str, ProcessorTotal]
    """Totals of the charges in the default currency."""
    final: bool
    """False where charges stamped within the window may still be missing."""
    as_of_ms: int | None = None
    """The totals are what processors had answered until then; None where that is not certain, or more is in them."""
    others: dict[str, dict[str, ProcessorTotal]] = field(default_factory=dict)
    """Totals of the charges in other currencies, by their codes; only those that were charged in the window."""


class Turns(Protocol):
    """A semaphore."""

    def acquire(self, *, timeout: float) -> bool:
        """Wait for a turn; tell whether it came."""

    def release(self) -> object:
        """End the turn."""


class Readers:
    """Bounds how many wait for summaries and lists at once, and how many of them ask Postgres."""

    def __init__(self, make_turns: Callable[[int], Turns]) -> None:
        """`make_turns` makes a semaphore that the given number of readers may hold at once."""
        self.make_turns = make_turns
        self._turns = make_turns(AT_ONCE_MAX)
        self._askers = 0

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Count a client while it asks.

        Raises:
            GatewayUnavailableError: too many ask at once.
        """
        if self._askers >= ASKERS_MAX:
            raise GatewayUnavailableError(TOO_MANY)
        self._askers += 1
        try:
            yield
        finally:
            self._askers -= 1

    @property
    def level(self) -> Level:
        """How many clients ask."""
        return Level(self._askers, ASKERS_MAX)

    def in_turn(self, question: Callable[[], Answer]) -> Answer:
        """Ask Postgres when it is the caller's turn.

        Raises:
            GatewayUnavailableError: the turn did not come in time.
        """
        if not self._turns.acquire(timeout=SUMMARY_S_MAX):
            raise GatewayUnavailableError(TOO_MANY)
        try:
            return question()
        finally:
            self._turns.release()


@dataclass(slots=True)
class _Window:
    """A window for whose summary clients ask now."""

    turns: Turns
    """Lets one client at a time read the summary."""
    askers: int = 0
    began_s: float = float("-inf")
    """When the latest reading began."""
    found: WindowSummary | None = None


class Summaries:
    """Reads the summaries of windows. Clients that ask for the same one at the same time share it."""

    def __init__(
        self,
        *,
        payments: PaymentStore,
        readers: Readers,
        runtime: Runtime,
        processors: Sequence[str],
        currency: str,
    ) -> None:
        """`processors` are the names that are shown beside the event's two, and `currency` the one that is first."""
        self._payments = payments
        self._readers = readers
        self._runtime = runtime
        self._names = dict.fromkeys((*EVENT_NAMES, *processors))
        self._currency = currency
        self._windows: dict[tuple[int | None, int | None], _Window] = {}
        self._seen = Watermarks(-NEVER_MS, -NEVER_MS)
        self._looked_s = float("-inf")
        """When the last read of the watermarks that was answered began."""

    def read(self, from_ms: int | None, to_ms: int | None) -> WindowSummary:
        """Read a summary. That of a window that has ended is of the moment of the question, and so is not shared."""
        now_ms = self._runtime.now_ms()
        if to_ms is None or to_ms > now_ms - PRESENT_MS:
            return self._read_together(from_ms, to_ms)
        return self._read_ended(from_ms, to_ms, now_ms)

    def _read_together(self, from_ms: int | None, to_ms: int | None) -> WindowSummary:
        """Read for all who have asked for this window before the reading began, one at a time where that is quick."""
        asked_s, bounds = self._runtime.now_s(), (from_ms, to_ms)
        window = self._windows.setdefault(bounds, _Window(self._readers.make_turns(1)))
        window.askers += 1
        has_turn = window.turns.acquire(timeout=TURN_S_MAX)
        try:
            if window.found is None or window.began_s < asked_s:
                began_s = self._runtime.now_s()
                window.found, window.began_s = self._read_present(from_ms, to_ms), began_s
            return window.found
        finally:
            if has_turn:
                window.turns.release()
            window.askers -= 1
            if not window.askers:
                del self._windows[bounds]

    def _read_present(self, from_ms: int | None, to_ms: int | None) -> WindowSummary:
        now_ms = self._runtime.now_ms()
        self._wait_until(lambda seen: seen.stamp_ms > now_ms + STAMPED_MS_MAX, PRESENT_S_MAX)
        return self._add_up(from_ms, to_ms, None, now_ms)

    def _read_ended(self, from_ms: int | None, to_ms: int, now_ms: int) -> WindowSummary:
        as_of_ms: int | None = now_ms
        if not self._wait_until(lambda seen: seen.stamp_ms > to_ms or seen.answer_ms > now_ms, SUMMARY_S_MAX):
            as_of_ms = None
        elif self._readers.in_turn(lambda: self._payments.may_lack_answers(to_ms)):
            # Asked before the totals are read: what is settled between the two is in them.
            as_of_ms = None
        return self._add_up(from_ms, to_ms, as_of_ms, now_ms)

    def _add_up(self, from_ms: int | None, to_ms: int | None, as_of_ms: int | None, now_ms: int) -> WindowSummary:
        found = self._readers.in_turn(lambda: self._payments.summary(from_ms, to_ms, as_of_ms))
        # Charges that are left out of the totals belong to the window all the same.
        final = to_ms is not None and to_ms < min(now_ms, found.final_before_ms) and not found.left_out
        return self._by_name(found, final=final, as_of_ms=as_of_ms)

    def _wait_until(self, is_enough: Callable[[Watermarks], bool], wait_s_max: float) -> bool:
        """Wait until the replicas have published enough; tell whether they have in time."""
        started_s = self._runtime.now_s()
        while True:
            # A read counts if it began after the question, whoever it was made for.
            since_s = max(started_s, self._runtime.now_s() - SUMMARY_STEP_S)
            if is_enough(self._readers.in_turn(partial(self._look, since_s))):
                return True
            if self._runtime.now_s() >= started_s + wait_s_max:
                return False
            self._runtime.sleep(SUMMARY_STEP_S)

    def _look(self, since_s: float) -> Watermarks:
        if self._looked_s <= since_s:
            looked_s = self._runtime.now_s()
            self._seen = self._payments.watermarks()
            self._looked_s = looked_s
        return self._seen

    def _by_name(self, totals: LedgerSummary, *, final: bool, as_of_ms: int | None) -> WindowSummary:
        by_currency: dict[str, dict[str, ProcessorTotal]] = {}
        for code in sorted({self._currency, *(total.amount.currency for total in totals.totals)}):
            by_currency[code] = {name: ProcessorTotal(name, 0, Money(0, code)) for name in self._names}
        for total in totals.totals:
            by_currency[total.amount.currency][total.processor] = total
        return WindowSummary(by_currency.pop(self._currency), final, as_of_ms, by_currency)
