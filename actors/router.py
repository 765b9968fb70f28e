"""The router: holds every unsettled payment of this replica and decides what each does next."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from uuid import UUID

from actors.actor import Actor
from actors.domain.batching import Backoff
from actors.domain.life import Life, Next
from actors.domain.messages import (
    Adopt,
    Assign,
    Assigned,
    AvailabilityChanged,
    Backlog,
    Census,
    Charge,
    ChargeEnded,
    Claim,
    Count,
    Describe,
    Disowned,
    LookedUp,
    LookUp,
    Move,
    Moved,
    MoveRefused,
    OldestStamp,
    PaymentProgress,
    RetryDue,
    Returned,
    Route,
    Settle,
    Settled,
)
from actors.domain.payment import Payment, Settlement
from actors.domain.processors import Processor
from actors.domain.routing import ProcessorView, by_cost, choose
from actors.ports import Recipient, Runtime

logger = logging.getLogger(__name__)


UNRESOLVED_S = 60.0
"""After this time an unknown outcome is reported, and still tried."""


class Phase(Enum):
    """What an unsettled payment waits for."""

    ASSIGNING = "its row"
    HELD = "a processor that takes it"
    CHARGING = "the processor's answer"
    PAUSING = "the end of a pause"
    LOOKING_UP = "the answer to a look-up"
    MOVING = "the commit of its new processor"
    SETTLING = "the commit of its settlement"
    STRANDED = "its processor to be configured again"


ON_THE_WAY_TO_POSTGRES = frozenset({Phase.ASSIGNING, Phase.MOVING, Phase.SETTLING})


@dataclass(slots=True)
class _Entry:
    life: Life
    phase: Phase


@dataclass(frozen=True, slots=True)
class RetryLimits:
    """How failures are tried again."""

    failures: Backoff = field(default_factory=lambda: Backoff(first_s=0.1, longest_s=5.0))
    horizon_s: float = 30.0
    """How long after an attempt a processor may still book it: longest delay, plus timeout, plus lease."""


class RouterActor(Actor):
    """Owns the view of all processors and the way of each payment from its row to its settlement."""

    def __init__(
        self,
        *,
        processors: Sequence[Processor],
        addresses: Mapping[str, Recipient],
        persistence: Recipient,
        runtime: Runtime,
        limits: RetryLimits,
    ) -> None:
        """`addresses` leads from each processor's name to its actor."""
        super().__init__()
        self._cheapest_first = by_cost(processors)
        self._addresses = addresses
        self._persistence = persistence
        self._runtime = runtime
        self._limits = limits
        self._views = {processor.name: ProcessorView() for processor in processors}
        self._entries: dict[UUID, _Entry] = {}
        self._last_choice: str | None = self._cheapest_first[0].name

    def on_receive(self, message: object) -> object:  # noqa: C901, PLR0912  # one line for each message
        """Handle one message of `actors.domain.messages`; ids that are not driven here are ignored."""
        match message:
            case Route(payments):
                self._assign(payments)
            case Assigned(ids):
                for entry in self._in_phase(ids, Phase.ASSIGNING):
                    self._dispatch(entry)
            case Disowned(payments):
                for entry in self._in_phase([payment.correlation_id for payment in payments], Phase.ASSIGNING):
                    if entry.life.payment in payments:
                        del self._entries[entry.life.payment.correlation_id]
            case MoveRefused(ids):
                for entry in self._in_phase(ids, Phase.MOVING):
                    del self._entries[entry.life.payment.correlation_id]
            case Moved(ids):
                for entry in self._in_phase(ids, Phase.MOVING):
                    self._dispatch(entry)
            case Settled(ids):
                for correlation_id in ids:
                    self._entries.pop(correlation_id, None)
            case Adopt():
                self._adopt(message)
            case ChargeEnded():
                self._charge_ended(message)
            case LookedUp():
                self._looked_up(message)
            case Returned():
                self._returned(message)
            case RetryDue(correlation_id):
                for entry in self._in_phase([correlation_id], Phase.PAUSING):
                    self._dispatch(entry)
            case AvailabilityChanged():
                self._availability_changed(message)
            case OldestStamp():
                stamps = (entry.life.oldest_stamp_ms for entry in self._entries.values())
                return min((stamp for stamp in stamps if stamp is not None), default=None)
            case Backlog():
                return sum(entry.phase in ON_THE_WAY_TO_POSTGRES for entry in self._entries.values())
            case Count():
                return self._count()
            case Describe(correlation_id):
                return self._describe(correlation_id)
        return None

    def _in_phase(self, correlation_ids: Sequence[UUID], phase: Phase) -> list[_Entry]:
        entries = (self._entries.get(correlation_id) for correlation_id in correlation_ids)
        return [entry for entry in entries if entry is not None and entry.phase is phase]

    def _assign(self, payments: Sequence[Payment]) -> None:
        # Where none takes payments, the row names the cheapest: the payment waits for that one.
        processor = choose(self._cheapest_first, self._views) or self._cheapest_first[0].name
        for payment in payments:
            if payment.correlation_id not in self._entries:
                self._entries[payment.correlation_id] = _Entry(Life(payment, processor), Phase.ASSIGNING)
        self._persistence.tell(Assign(tuple(Claim(payment, processor) for payment in payments)))

    def _adopt(self, message: Adopt) -> None:
        now_s = self._runtime.now_s()
        for claim in message.claims:
            correlation_id = claim.payment.correlation_id
            entry = self._entries.get(correlation_id)
            if entry is not None and entry.phase is not Phase.ASSIGNING:
                continue
            life = Life(claim.payment, claim.processor, claim.attempts)
            life.adopted(now_s, message.oldest_stamp_ms)
            self._entries[correlation_id] = entry = _Entry(life, Phase.HELD)
            self._dispatch(entry)

    def _dispatch(self, entry: _Entry) -> None:
        """Take a payment that waits for nothing else on its way."""
        life = entry.life
        if life.processor not in self._views:
            # It may have been charged there, and nobody can ask.
            entry.phase = Phase.STRANDED
        elif life.pinned:
            if self._views[life.processor].takes_charges:
                self._charge(entry)
            else:
                entry.phase = Phase.LOOKING_UP
                self._addresses[life.processor].tell(LookUp(life.payment))
        else:
            self._send_anywhere(entry)

    def _send_anywhere(self, entry: _Entry) -> None:
        life = entry.life
        target = choose(self._cheapest_first, self._views)
        if target is None:
            entry.phase = Phase.HELD
        elif target != life.processor:
            entry.phase = Phase.MOVING
            life.processor = target
            self._persistence.tell(Move(life.payment.correlation_id, target, life.attempts))
        else:
            self._charge(entry)

    def _charge(self, entry: _Entry) -> None:
        entry.phase = Phase.CHARGING
        self._views[entry.life.processor].charge_sent()
        self._addresses[entry.life.processor].tell(Charge(entry.life.payment))

    def _returned(self, message: Returned) -> None:
        # Sent on a view that was already old; without this it would go to and fro.
        self._views[message.processor].permits = 0
        for entry in self._in_phase([payment.correlation_id for payment in message.payments], Phase.CHARGING):
            self._dispatch(entry)

    def _charge_ended(self, message: ChargeEnded) -> None:
        for entry in self._in_phase([message.correlation_id], Phase.CHARGING):
            entry.life.sent(message.requested_at_ms)
            match entry.life.ended(message.outcome, self._runtime.now_s()):
                case Next.SETTLE:
                    self._settle(entry, message.requested_at_ms)
                case Next.LOOK_UP:
                    entry.phase = Phase.LOOKING_UP  # The processor's actor asks at once.
                case Next.RETRY | Next.REROUTE:
                    self._pause(entry)

    def _looked_up(self, message: LookedUp) -> None:
        for entry in self._in_phase([message.correlation_id], Phase.LOOKING_UP):
            if message.requested_at_ms is not None:
                self._settle(entry, message.requested_at_ms)
            else:
                entry.life.looked_up(
                    missing=message.answered, now_s=self._runtime.now_s(), horizon_s=self._limits.horizon_s
                )
                self._pause(entry)

    def _settle(self, entry: _Entry, requested_at_ms: int) -> None:
        entry.phase = Phase.SETTLING
        life = entry.life
        settlement = Settlement(life.payment.correlation_id, life.processor, requested_at_ms, life.attempts)
        self._persistence.tell(Settle(settlement))

    def _pause(self, entry: _Entry) -> None:
        entry.phase = Phase.PAUSING
        pause_s = self._limits.failures.pause_s(entry.life.failures_in_row)
        self._runtime.call_later(pause_s, self.tell_self, RetryDue(entry.life.payment.correlation_id))

    def _availability_changed(self, message: AvailabilityChanged) -> None:
        view = self._views[message.processor]
        view.state, view.permits = message.state, message.permits
        choice = choose(self._cheapest_first, self._views)
        if choice != self._last_choice:
            logger.info("payments go to %s: %s is %s", choice or "no processor", message.processor, message.state.value)
            self._last_choice = choice
        for entry in [entry for entry in self._entries.values() if entry.phase is Phase.HELD]:
            if choose(self._cheapest_first, self._views) is None:
                return
            self._dispatch(entry)

    def _count(self) -> Census:
        phases = Counter(entry.phase for entry in self._entries.values())
        unsettled = {phase.value: phases[phase] for phase in Phase}
        breakers = {name: view.state for name, view in self._views.items()}
        long_ago_s = self._runtime.now_s() - UNRESOLVED_S
        pinned = (entry.life.pinned_since_s for entry in self._entries.values())
        unresolved = sum(since_s is not None and since_s < long_ago_s for since_s in pinned)
        return Census(unsettled, unresolved, breakers)

    def _describe(self, correlation_id: UUID) -> PaymentProgress | None:
        entry = self._entries.get(correlation_id)
        if entry is None:
            return None
        return PaymentProgress(entry.life.processor, entry.life.attempts, entry.life.pinned)
