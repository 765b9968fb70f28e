"""The router: holds every unsettled payment of this replica and decides what each does next."""

import logging
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from uuid import UUID

from actors.actor import Actor
from actors.domain.backoff import Backoff
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
    Tick,
)
from actors.domain.payment import Payment, Settlement
from actors.domain.routing import Choice, Reason, Routes
from actors.ports import Recipient, Runtime

logger = logging.getLogger(__name__)


UNRESOLVED_S = 60.0
"""After this time an unknown outcome is reported, and still tried."""
LOG_S = 1.0
"""Changes of mind are logged at most so often."""
UNLOGGED = frozenset({Reason.PROBE, Reason.RETRIES_SPENT, Reason.WAIT_FOR_ROOM})
"""Reasons that say nothing about where most payments go."""


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
    given_to: str | None = None
    """The processor in whose view it counts as under way."""


@dataclass(frozen=True, slots=True)
class RetryLimits:
    """How failures are tried again."""

    failures: Backoff = field(default_factory=lambda: Backoff(first_s=0.1, longest_s=5.0))
    jitter: float = 0.25
    """Each pause is drawn from within this share around its length."""
    horizon_s: float = 30.0
    """How long after an attempt a processor may still book it: longest delay, plus timeout, plus lease."""


class RouterActor(Actor):
    """Owns the view of all processors and the way of each payment from its row to its settlement."""

    REFUSED_WHEN_FULL = (Count, Describe)

    def __init__(
        self,
        *,
        routes: Routes,
        addresses: Mapping[str, Recipient],
        persistence: Recipient,
        runtime: Runtime,
        limits: RetryLimits,
        chance: Random,
    ) -> None:
        """`addresses` leads from each processor's name to its actor; `chance` draws the jitter of the pauses."""
        super().__init__()
        self._routes = routes
        self._addresses = addresses
        self._persistence = persistence
        self._runtime = runtime
        self._limits = limits
        self._chance = chance
        self._entries: dict[UUID, _Entry] = {}
        self._held: deque[_Entry] = deque()
        """Payments that are free and wait, in the order of their arrival."""
        self._counted = 0
        """Of those that are held, the first so many are in the counts of decisions."""
        self._held_pinned: dict[str, deque[_Entry]] = {name: deque() for name in routes.views}
        """Payments that wait for room on the one processor that may see them."""
        self._logged = Choice(routes.cheapest_first[0].name, Reason.CHEAPEST)
        self._logged_at_s = 0.0

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
                    self._take_back(entry, unsent=True)
                    del self._entries[entry.life.payment.correlation_id]
            case Moved(ids):
                for entry in self._in_phase(ids, Phase.MOVING):
                    self._charge(entry)
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
            case Tick():
                pass  # Some patience has ended: payments are released below.
            case OldestStamp():
                stamps = (entry.life.oldest_stamp_ms for entry in self._entries.values())
                return min((stamp for stamp in stamps if stamp is not None), default=None)
            case Backlog():
                return sum(entry.phase in ON_THE_WAY_TO_POSTGRES for entry in self._entries.values())
            case Count():
                return self._count()
            case Describe(correlation_id):
                return self._describe(correlation_id)
        self._release()
        return None

    def _in_phase(self, correlation_ids: Sequence[UUID], phase: Phase) -> list[_Entry]:
        entries = (self._entries.get(correlation_id) for correlation_id in correlation_ids)
        return [entry for entry in entries if entry is not None and entry.phase is phase]

    def _assign(self, payments: Sequence[Payment]) -> None:
        # Where none takes payments now, the row names the cheapest.
        choice = self._routes.choose(waiting=len(self._held), spent=None, now_s=self._runtime.now_s())
        processor = choice.processor or self._routes.cheapest_first[0].name
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
        view = self._routes.views.get(life.processor)
        if view is None:
            # It may have been charged there, and nobody can ask.
            entry.phase = Phase.STRANDED
        elif not life.pinned:
            if self._routes.is_waited_for(life.processor, self._runtime.now_s()):
                life.failures_here = 0  # They belong to the outage.
            entry.phase = Phase.HELD
            self._held.append(entry)
        elif not view.state.is_closed:
            # No probe either: one that fails again and again would never be looked up, and so never be free.
            entry.phase = Phase.LOOKING_UP
            self._addresses[life.processor].tell(LookUp(life.payment))
        elif view.has_room:
            self._give(entry, life.processor)
        else:
            entry.phase = Phase.HELD
            self._held_pinned[life.processor].append(entry)

    def _release(self) -> None:
        """Give waiting payments to the processors that take them, in the order of their arrival."""
        for name, pinned in self._held_pinned.items():
            view = self._routes.views[name]
            while pinned and (view.has_room or not view.state.is_closed):
                self._dispatch(pinned.popleft())
        while self._held:
            entry = self._held[0]
            life = entry.life
            if self._entries.get(life.payment.correlation_id) is not entry:
                self._drop_first()
                continue
            now_s = self._runtime.now_s()
            spent = life.processor if self._routes.is_spent(life.processor, life.failures_here, now_s) else None
            choice = self._routes.choose(waiting=len(self._held) - 1, spent=spent, now_s=now_s)
            self._log(choice)
            if choice.processor is None:
                # Each payment that has to wait is counted once, for what the first of them waits for.
                self._routes.decisions[None, choice.reason] += len(self._held) - self._counted
                self._counted = len(self._held)
                return
            self._drop_first()
            self._routes.decisions[choice.processor, choice.reason] += 1
            self._give(entry, choice.processor)

    def _drop_first(self) -> None:
        self._held.popleft()
        self._counted = max(0, self._counted - 1)

    def _give(self, entry: _Entry, processor: str) -> None:
        entry.given_to = processor
        self._routes.views[processor].take()
        life = entry.life
        if processor == life.processor:
            self._charge(entry)
        else:
            entry.phase = Phase.MOVING
            life.moved(processor)
            self._persistence.tell(Move(life.payment.correlation_id, processor, life.attempts))

    def _charge(self, entry: _Entry) -> None:
        entry.phase = Phase.CHARGING
        self._addresses[entry.life.processor].tell(Charge(entry.life.payment))

    def _take_back(self, entry: _Entry, *, unsent: bool = False) -> None:
        if entry.given_to is not None:
            self._routes.views[entry.given_to].give_back(unsent=unsent)
            entry.given_to = None

    def _returned(self, message: Returned) -> None:
        for entry in self._in_phase([payment.correlation_id for payment in message.payments], Phase.CHARGING):
            self._take_back(entry)
            self._dispatch(entry)

    def _charge_ended(self, message: ChargeEnded) -> None:
        for entry in self._in_phase([message.correlation_id], Phase.CHARGING):
            self._take_back(entry)
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
        jitter = self._chance.uniform(1 - self._limits.jitter, 1 + self._limits.jitter)
        pause_s = self._limits.failures.pause_s(entry.life.failures_in_row) * jitter
        self._runtime.call_later(pause_s, self.tell_self, RetryDue(entry.life.payment.correlation_id))

    def _availability_changed(self, message: AvailabilityChanged) -> None:
        view, now_s = self._routes.views[message.processor], self._runtime.now_s()
        view.limit, view.probes, view.capacity_per_s = message.limit, message.probes, message.capacity_per_s
        if view.changed(message.state, message.down_since_s, now_s):
            ends_at_s = self._routes.patience_ends_at_s(message.processor)
            self._runtime.call_later(max(0.0, ends_at_s - now_s), self.tell_self, Tick())

    def _log(self, choice: Choice) -> None:
        now_s = self._runtime.now_s()
        if choice.reason in UNLOGGED or choice == self._logged or now_s - self._logged_at_s < LOG_S:
            return
        self._logged, self._logged_at_s = choice, now_s
        logger.info("payments go to %s: %s", choice.processor or "no processor", choice.reason.value)

    def _count(self) -> Census:
        phases = Counter(entry.phase for entry in self._entries.values())
        unsettled = {phase.value: phases[phase] for phase in Phase}
        long_ago_s = self._runtime.now_s() - UNRESOLVED_S
        pinned = (entry.life.pinned_since_s for entry in self._entries.values())
        unresolved = sum(since_s is not None and since_s < long_ago_s for since_s in pinned)
        return Census(unsettled, unresolved, dict(self._routes.decisions))

    def _describe(self, correlation_id: UUID) -> PaymentProgress | None:
        entry = self._entries.get(correlation_id)
        if entry is None:
            return None
        return PaymentProgress(entry.life.processor, entry.life.attempts, entry.life.pinned)
