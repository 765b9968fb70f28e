"""Recovery: keeps the replica's lease, and takes up payments of earlier runs and of replicas that are gone."""

import logging
from collections.abc import Callable, Sequence

from actors.actor import Actor
from actors.domain.messages import Adopt, Claim, Drain, Driven, Known, LeaseRenewed, OldestStamp, TakeOver, Tick
from actors.domain.payment import Payment
from actors.errors import GatewayUnavailableError, JournalUnavailableError, LeaseLostError, LedgerUnavailableError
from actors.ports import JournalShelf, Ledger, Recipient, Registration, Runtime

logger = logging.getLogger(__name__)

LEASE_S = 5.0
BEAT_S = 0.25
ASK_S_MAX = 1.0
ADOPT_S = 1.0
ADOPT_CLAIMS_MAX = 500
"""Rows that are taken over at once."""
LATEST_MAX = 20_000
"""Payments whose ids a replica knows again after its start."""
TAKE_OVER_MAX = 1000
"""Payments of another journal that are written at once."""
TAKE_OVER_S_MAX = 2.0
NEVER_MS = 2**63 - 1
"""The watermark of a replica that has left nothing unsettled behind."""


class RecoveryActor(Actor):
    """Owns the lease. Without it nothing is sent; with every renewal it publishes how far the books are final."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        router: Recipient,
        processors: Sequence[Recipient],
        runtime: Runtime,
        intake: Recipient,
        shelf: JournalShelf,
        generation: int,
        purged: Callable[[], None],
    ) -> None:
        """`purged` is called once, when Postgres shows a generation later than `generation`."""
        super().__init__()
        self._ledger = ledger
        self._router = router
        self._processors = processors
        self._intake = intake
        self._shelf = shelf
        self._runtime = runtime
        self._generation = generation
        self._purged = purged
        self._registration: Registration | None = None
        self._left = False
        self._leased_since_s: float | None = None
        self._adopted_at_s = 0.0
        self._watermark_ms = 0

    def on_start(self) -> None:
        """Join at once."""
        self.tell_self(Tick())

    def on_receive(self, message: object) -> object:
        """Handle one message of `actors.domain.messages`."""
        match message:
            case Tick() if not self._left:
                self._tick()
            case Drain():
                self._leave()
        return None

    def _tick(self) -> None:
        generation = self._generation
        try:
            generation = self._join() if self._registration is None else self._beat(self._registration)
            if generation == self._generation and self._may_adopt():
                self._adopt()
        except LedgerUnavailableError as error:
            self._leased_since_s = None
            logger.warning("the lease is not renewed: %s", error)
        if generation != self._generation:
            self._runtime.spawn(self._purged)
        else:
            self._runtime.call_later(BEAT_S, self.tell_self, Tick())

    def _may_adopt(self) -> bool:
        """Wait, after Postgres was away, until all others have had the time to renew their leases."""
        now_s = self._runtime.now_s()
        if (
            self._leased_since_s is None
            or now_s - self._leased_since_s < LEASE_S
            or now_s - self._adopted_at_s < ADOPT_S
        ):
            return False
        self._adopted_at_s = now_s
        return True

    def _adopt(self) -> None:
        try:
            adopted = self._ledger.adopt(ADOPT_CLAIMS_MAX)
        except LedgerUnavailableError:
            # The rows may be this replica's now: it joins again, and so reads which they are.
            self._registration = None
            raise
        if adopted is not None:
            logger.warning("%d unsettled payments of replicas that are gone are taken over", len(adopted.claims))
            # Also where nobody can tell the stamps, the next heartbeat may not raise it above theirs.
            self._watermark_ms = min(self._watermark_ms, adopted.oldest_stamp_ms)
            self._drive(adopted.claims, adopted.oldest_stamp_ms)
        try:
            self._adopt_journals(self._ledger.gone())
        except JournalUnavailableError as error:
            logger.warning("the journal of a replica that is gone is left alone: %s", error)

    def _drive(self, claims: tuple[Claim, ...], oldest_stamp_ms: int) -> None:
        self._router.tell(Adopt(claims, oldest_stamp_ms))
        self._intake.tell(Driven(tuple(claim.payment.correlation_id for claim in claims)))

    def _adopt_journals(self, gone: Sequence[str]) -> None:
        for orphan in self._shelf.orphans(gone):
            try:
                payments = list(orphan.replay())
                if all(
                    self._take_over(payments[i : i + TAKE_OVER_MAX]) for i in range(0, len(payments), TAKE_OVER_MAX)
                ):
                    orphan.clear()
            finally:
                orphan.close()

    def _take_over(self, payments: Sequence[Payment]) -> bool:
        logger.warning("%d payments of the journal of a replica that is gone are taken over", len(payments))
        self.progressed()
        try:
            return bool(self._intake.ask(TakeOver(tuple(payments)), TAKE_OVER_S_MAX))
        except GatewayUnavailableError:
            return False

    def _leave(self) -> None:
        """End the lease at once, so that others need not wait for its end to take over what is left."""
        self._left = True
        if self._registration is None:
            return
        stamps = self._stamps_ms()
        try:
            self._ledger.retire(self._registration.epoch, min(stamps, default=NEVER_MS))
        except LedgerUnavailableError as error:
            logger.warning("the lease ends by itself: %s", error)

    def _join(self) -> int:
        until_s = self._runtime.now_s() + LEASE_S
        registration = self._ledger.register(self._generation, LEASE_S)
        if registration.generation != self._generation:
            return registration.generation
        claims = self._ledger.claims()
        if claims:
            logger.info("%d payments of an earlier run are not settled yet", len(claims))
            self._drive(claims, registration.watermark_ms)
        self._intake.tell(Known(self._ledger.latest(LATEST_MAX), certain=True))
        self._registration = registration
        self._watermark_ms = registration.watermark_ms
        self._renewed(until_s)
        return registration.generation

    def _beat(self, registration: Registration) -> int:
        until_s = self._runtime.now_s() + LEASE_S
        self._watermark_ms = self._oldest_stamp_ms()
        beat = self._ledger.beat(registration.epoch, LEASE_S, self._watermark_ms)
        if not beat.renewed:
            raise LeaseLostError("others have taken over from this replica, or another process has its name")
        self._renewed(until_s)
        return beat.generation

    def _oldest_stamp_ms(self) -> int:
        """Find the instant before which no charge is missing in Postgres.

        Processors' actors are asked before the router: what they report meanwhile reaches it before the question does.
        """
        now_ms = self._runtime.now_ms()
        return min([now_ms, *self._stamps_ms()])

    def _stamps_ms(self) -> list[int]:
        try:
            stamps = []
            for peer in (*self._processors, self._router):
                stamps.append(peer.ask(OldestStamp(), ASK_S_MAX))
                self.progressed()
        except GatewayUnavailableError:
            return [self._watermark_ms]
        return [stamp for stamp in stamps if stamp is not None]

    def _renewed(self, until_s: float) -> None:
        if self._leased_since_s is None:
            self._leased_since_s = self._runtime.now_s()
        for processor in self._processors:
            processor.tell(LeaseRenewed(until_s))
