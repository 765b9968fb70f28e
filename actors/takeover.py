"""Takes over what replicas that are gone have left: their rows in Postgres, and their journals."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice

from actors.domain.payment import Payment
from actors.domain.records import AdoptedClaims
from actors.domain.work import AdoptionRoom
from actors.errors import GatewayUnavailableError, JournalUnavailableError
from actors.logs import get_logger
from actors.messages.intake import GetTakeOverRoom, TakeOver
from actors.messages.router import Adopt, BeginAdoption, EndAdoption
from actors.outages import TimedOutageReporter
from actors.ports import JournalShelf, LeaseStore, Orphan, Recipient, Runtime

logger = get_logger(__name__)

ADOPTED_AT_ONCE_MAX = 100
"""The most rows that are taken up with one search, of which there is one a second. Each costs as much as a new payment,
and new payments come first."""
TAKEN_AT_ONCE_MAX = 1000
"""Payments of another journal that are written at once."""
TAKE_OVER_S_MAX = 2.0
ASK_S_MAX = 1.0


class Takeover:
    """Adopts rows and copies journals on behalf of the lease's actor, which ends the leases of replicas that are gone.

    Its methods block until all that they ask for is answered.
    """

    def __init__(
        self,
        *,
        leases: LeaseStore,
        router: Recipient,
        intake: Recipient,
        shelf: JournalShelf,
        progressed: Callable[[], None],
        runtime: Runtime,
    ) -> None:
        """`progressed` is called after each part of a long journal; what it raises ends the copying."""
        self._leases = leases
        self._router = router
        self._intake = intake
        self._shelf = shelf
        self._progressed = progressed
        self._adopted = TimedOutageReporter(
            logger, "unsettled payments of replicas that are gone are taken over", runtime
        )
        event = "payments of the journal of a replica that is gone are taken over"
        self._copied = TimedOutageReporter(logger, event, runtime)
        self._left_alone = TimedOutageReporter(logger, "journals of other replicas are left alone", runtime)

    @contextmanager
    def adopting(self) -> Iterator[AdoptionRoom]:
        """Ask the router for which rows it has room, and for how many; for none if it does not answer.

        Rows have to be read within this context, in which the router remembers which payments end, so that an outdated
        row begins none of them anew. Since it has to remember them, nothing that takes long may be done within.
        """
        try:
            yield self._room()
        finally:
            self._router.tell(EndAdoption())

    def _room(self) -> AdoptionRoom:
        try:
            room: AdoptionRoom = self._router.ask(BeginAdoption(), ASK_S_MAX)
        except GatewayUnavailableError:
            return AdoptionRoom(0)
        return replace(room, count=min(room.count, ADOPTED_AT_ONCE_MAX))

    def adopt_rows(self, room: AdoptionRoom) -> AdoptedClaims | None:
        """Adopt unsettled rows of replicas that are gone, as many as there is room for.

        Raises:
            LedgerUnavailableError: the rows may be this replica's now all the same.
        """
        adopted = self._leases.adopt(room.count, room.full) if room.count else None
        if adopted is not None:
            self._adopted.occurred(len(adopted.claims))
            self._router.tell(Adopt(adopted.claims, adopted.oldest_stamp_ms))
        return adopted

    def adopt_journals(self, gone: Collection[str]) -> None:
        """Copy the journals that nobody holds, and those of the replicas that are `gone`, into the own one.

        What the own one has no room for stays where it is, for a later call or for another replica.

        Raises:
            LedgerUnavailableError: `progressed` raises it.
        """
        if not self._journal_room():
            return
        try:
            for orphan in self._shelf.orphans(gone):
                try:
                    self._copy(orphan)
                except JournalUnavailableError as error:
                    self._left_alone.occurred(reason=str(error))
                finally:
                    orphan.close()
        except JournalUnavailableError as error:
            self._left_alone.occurred(reason=str(error))

    def _copy(self, orphan: Orphan) -> None:
        payments, taken = orphan.replay(), 0
        while room := self._journal_room():
            chunk = tuple(islice(payments, min(room, TAKEN_AT_ONCE_MAX)))
            if chunk and not self._take_over(chunk):
                break
            # This is told at the end of the journal too: what an earlier call has taken may still be there.
            orphan.took(len(chunk))
            if not chunk:
                break
            taken += len(chunk)
            self._progressed()
        if taken:
            self._copied.occurred(taken)

    def _journal_room(self) -> int:
        try:
            return max(0, int(self._intake.ask(GetTakeOverRoom(), ASK_S_MAX)))
        except GatewayUnavailableError:
            return 0

    def _take_over(self, payments: Sequence[Payment]) -> bool:
        try:
            return bool(self._intake.ask(TakeOver(tuple(payments)), TAKE_OVER_S_MAX))
        except GatewayUnavailableError:
            return False
