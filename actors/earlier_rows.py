"""Takes up the rows that an earlier run of this replica has left, a page at a time."""

from dataclasses import dataclass
from uuid import UUID

from actors.domain.work import AdoptionRoom
from actors.logs import get_logger
from actors.messages.router import Adopt
from actors.outages import TimedOutageReporter
from actors.ports import LeaseStore, Recipient, Runtime

logger = get_logger(__name__)


@dataclass(slots=True)
class _Cursor:
    """How far rows are read, in the order of their ids."""

    named: str | None
    """The processor that the rows name; None for all rows that no other cursor reads."""
    after: UUID | None = None
    """The id of the last row that was read."""


class EarlierRows:
    """Reads each row of an earlier run once, and gives it to the router.

    Rows that name a processor for which enough payments wait already are read later, by a cursor of their own that
    begins where they were first left out.
    """

    def __init__(self, leases: LeaseStore, router: Recipient, runtime: Runtime) -> None:
        self._leases = leases
        self._found = TimedOutageReporter(logger, "payments of an earlier run are not settled yet", runtime, "info")
        self._router = router
        self._cursors: list[_Cursor] = []
        """The cursors that are not at their end."""
        self._since_ms: int = 0

    @property
    def since_ms(self) -> int | None:
        """The oldest stamp that a charge of a row may bear, until all rows are read; then None."""
        return self._since_ms if self._cursors else None

    def begin(self, since_ms: int) -> None:
        """Read from the beginning. The charges of these rows bear the stamp `since_ms` or later ones."""
        self._since_ms = since_ms
        self._cursors = [_Cursor(None)]

    def take_up(self, room: AdoptionRoom) -> int:
        """Give the router as many rows as it has room for; tell how many.

        The router ignores rows that it drives already, and those whose payments have ended there since it had room.

        Raises:
            LedgerUnavailableError: Postgres does not answer; a later call reads the rows that were not given.
        """
        self._split_off(room.full)
        given = 0
        # The cursor of all other rows comes first, so that it ends before those of the rows that it passes over.
        for cursor in list(self._cursors):
            if given < room.count and cursor.named not in room.full:
                given += self._read(cursor, room.count - given)
        if given:
            self._found.occurred(given)
        return given

    def _split_off(self, full: frozenset[str]) -> None:
        """Let rows that are left out from now on be read by cursors of their own."""
        others = next((each for each in self._cursors if each.named is None), None)
        if others is not None:
            named = {each.named for each in self._cursors}
            self._cursors += [_Cursor(name, others.after) for name in sorted(full - named)]

    def _read(self, cursor: _Cursor, rows_max: int) -> int:
        apart = () if cursor.named else [each.named for each in self._cursors if each.named is not None]
        claims = self._leases.claims(rows_max, cursor.after, earlier_run=True, naming=cursor.named, leave_out=apart)
        if claims:
            self._router.tell(Adopt(claims, self._since_ms))
            cursor.after = max(claim.payment.correlation_id for claim in claims)
        if len(claims) < rows_max:
            self._cursors.remove(cursor)
        return len(claims)
