"""Health: asks the processors for their health on behalf of all replicas, and shares what the replicas know of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import assert_never
from zlib import crc32

from actors.actor import Actor
from actors.domain.breaker import BreakerState
from actors.domain.probing import PROBE_PAUSE_S
from actors.domain.quorum import (
    Opinion,
    Order,
    is_turned_away,
    latest_order,
    peer_recovered,
    quorum_found_down,
)
from actors.domain.records import PollLease, ProcessorHealth
from actors.domain.trouble import Trouble
from actors.errors import HealthUnavailableError
from actors.logs import get_logger
from actors.messages.health import (
    BreakerChanged,
    DelaySeen,
    ExchangeDue,
    ForceBreaker,
    GetOrderReach,
    HealthMessage,
    OrderReach,
    PollEnded,
    ProbeWanted,
)
from actors.messages.processor import (
    DelayHeard,
    HealthReported,
    HoldBreaker,
    PeerRecovered,
    ProbeAnswered,
    QuorumFoundDown,
    TurnedAwayElsewhere,
)
from actors.messages.trouble import GetTrouble
from actors.outages import OutageReporter
from actors.ports import HealthBoard, HealthProbe, Recipient, Runtime

logger = get_logger(__name__)

READ_S = 0.25
"""Time between two exchanges with the board while all breakers are closed."""
HURRY_S = 0.1
"""Time between two exchanges while a breaker is not closed, since news of a recovery should spread at once."""
POLL_S = 5.0
"""A processor answers one health call in this time. It lets further ones hang."""
HOLD_S = 1.0
"""How long a lease has to be on the board before its call is made. Then every replica that reads the board knows of the
call, and it does no harm if Redis evicts the lease."""
HOLD_S_MAX = 1.3
"""The call is not made any more when its lease was taken longer ago than this."""
READ_GAP_S_MAX = 0.8
"""A replica that has not read the board for longer than this may have missed a lease."""
POLL_LEASE_S = POLL_S + (HOLD_S_MAX - HOLD_S) + 0.1
"""Time between two leases. It keeps calls `POLL_S` apart, however long each lease is held and Redis takes to answer."""
ORDER_S = 1.0
"""How long exchanges are made in a hurry after an operator's order, so that all replicas soon have it and say so."""
PROBE_S = 0.3
"""All replicas together send one probe in this time to a processor that is down, so at most four in any second."""
PROBE_SHARE_S = 0.35
"""One replica sends one probe in this time multiplied by the number of replicas that live, so that all of them keep to
the budget even if Redis is gone or forgets, and each has its share."""
UNSLOTTED_MAX = 3
"""Without Redis, up to this many replicas may send their first probes of an outage at once. If there are more, each
waits for its own time slot."""
SLOT_S = 2 * PROBE_PAUSE_S
"""Length of one replica's time slot for probes. A replica that wants to probe asks every `PROBE_PAUSE_S`."""


@dataclass(slots=True)
class _View:
    """What this replica knows of one processor."""

    breaker: BreakerChanged
    order: Order | None = None
    reported_asked_at_ms: int | None = None
    """`asked_at_ms` of the answer that was reported last to the processor's actor."""
    recovery_told_at_s: float | None = None
    """`changed_at_s` of the breaker when `PeerRecovered` was sent last. It is sent once for each of its changes."""
    turned_away: bool = False
    """Whether another replica says that the processor turns away all calls; told when that begins."""
    poll_due_s: float = 0.0
    """The earliest time at which this replica may take a lease for a health call, judging by the leases it has seen."""
    lease: tuple[str, float] | None = None
    """Token of the lease that this replica holds, and when it took the lease."""
    polling: bool = False
    """Whether a health call of this replica is under way."""
    probed_at_s: float | None = None
    """When this replica last allowed a probe."""
    delay_s: float = 0.0
    """The longest charge of this replica; 0 if it is within what the operator allows for."""


class HealthActor(Actor):
    """Keeps this replica's opinion of each processor, and exchanges opinions with the other replicas through Redis.

    No payment waits for it. Without Redis each replica relies on its own calls alone.
    """

    REFUSED_WHEN_FULL = (ForceBreaker, GetOrderReach, GetTrouble)

    def __init__(
        self,
        *,
        processors: Mapping[str, Recipient],
        board: HealthBoard,
        probe: HealthProbe,
        runtime: Runtime,
        replica: str,
    ) -> None:
        """`processors` maps each processor's name to its actor."""
        super().__init__()
        self._processors = processors
        self._board = board
        self._probe = probe
        self._runtime = runtime
        self._replica = replica
        self._views = {
            name: _View(BreakerChanged(name, BreakerState.CLOSED, down=False, changed_at_s=None)) for name in processors
        }
        self._heard: tuple[Opinion, ...] = ()
        """What the other replicas say; nothing where the last exchange failed."""
        self._trouble = Trouble("opinions are not exchanged")
        self._outage = OutageReporter(logger, "Redis does not share what replicas know", runtime.now_s)
        self._read_at_s = -inf
        self._hurried_until_s = -inf

    def on_start(self) -> None:
        """Exchange opinions at once."""
        self.tell_self(ExchangeDue())

    def on_receive(self, message: HealthMessage) -> object:
        """Handle one message."""
        match message:
            case ExchangeDue():
                self._exchange()
                all_closed = all(view.breaker.state.is_closed for view in self._views.values())
                is_calm = all_closed and self._runtime.now_s() >= self._hurried_until_s
                self._runtime.call_later(READ_S if is_calm else HURRY_S, self.tell_self, ExchangeDue())
            case BreakerChanged(processor):
                self._views[processor].breaker = message
                # Other replicas may be waiting for this news.
                self._exchange()
            case DelaySeen(processor, delay_s):
                self._views[processor].delay_s = delay_s
            case ProbeWanted(processor, replicas):
                self._processors[processor].tell(ProbeAnswered(self._may_probe(processor, replicas)))
            case PollEnded(processor):
                self._views[processor].polling = False
            case ForceBreaker(processor, state):
                return self._force(processor, state)
            case GetOrderReach(processor):
                heard = [opinion.order for opinion in self._heard if opinion.processor == processor]
                return OrderReach(1 + heard.count(self._views[processor].order), 1 + len(heard))
            case GetTrouble():
                return self._trouble.describe(self._runtime.now_s())
            case _:
                assert_never(message)
        return None

    def _exchange(self) -> None:
        began_s = self._runtime.now_s()
        own = {name: self._opinion(name) for name in self._processors}
        try:
            shared = self._board.exchange(list(own.values()))
            self._note_read(began_s)
            self._heard = shared.opinions
            # A lease that lasts longer was not taken by any replica.
            leases = {lease.processor: lease for lease in shared.polls if lease.ends_s_in <= POLL_LEASE_S}
            for answer in shared.answers:
                self._report(answer)
            for name, opinion in own.items():
                self._compare(opinion, [each for each in shared.opinions if each.processor == name])
                self._poll_if_due(name, leases.get(name), began_s)
            self._trouble.succeeded()
            self._outage.succeeded()
        except HealthUnavailableError as error:
            self._heard = ()
            self._trouble.failed(error, began_s)
            self._outage.failed(reason=str(error))

    def _note_read(self, began_s: float) -> None:
        """Note that the board was read. After a gap, wait as if another replica had just taken a lease."""
        now_s = self._runtime.now_s()
        if now_s - self._read_at_s > READ_GAP_S_MAX:
            for view in self._views.values():
                view.poll_due_s = now_s + POLL_LEASE_S
        self._read_at_s = began_s

    def _opinion(self, name: str) -> Opinion:
        view = self._views[name]
        changed_at_s = view.breaker.changed_at_s
        return Opinion(
            self._replica,
            name,
            down=view.breaker.down,
            closed=view.breaker.state.is_closed,
            changed_s_ago=None if changed_at_s is None else self._runtime.now_s() - changed_at_s,
            order=view.order,
            turns_away=view.breaker.turns_away,
            delay_s=view.delay_s,
        )

    def _report(self, answer: ProcessorHealth) -> None:
        view = self._views.get(answer.processor)
        # Times are not compared, since the answer may come from a replica with another clock.
        if view is None or answer.asked_at_ms == view.reported_asked_at_ms:
            return
        view.reported_asked_at_ms = answer.asked_at_ms
        asked_s_ago = max(0.0, (self._runtime.now_ms() - answer.asked_at_ms) / 1000)
        response_time_s_min = answer.response_time_ms_min / 1000
        self._processors[answer.processor].tell(HealthReported(answer.failing, asked_s_ago, response_time_s_min))

    def _compare(self, own: Opinion, others: list[Opinion]) -> None:
        view, processor = self._views[own.processor], self._processors[own.processor]
        order = latest_order([own, *others])
        if order is not None and order != view.order:
            view.order = order
            self._hurried_until_s = self._runtime.now_s() + ORDER_S
            processor.tell(HoldBreaker(order.state))
        was_turned_away, view.turned_away = view.turned_away, is_turned_away(own, others)
        if view.turned_away and not was_turned_away:
            # Told before this breaker opens: after that, the other replica's news is older than its own change.
            processor.tell(TurnedAwayElsewhere())
        changed_at_s = view.breaker.changed_at_s
        if quorum_found_down(own, others):
            processor.tell(QuorumFoundDown())
        elif changed_at_s != view.recovery_told_at_s and peer_recovered(own, others):
            view.recovery_told_at_s = changed_at_s
            processor.tell(PeerRecovered())
        if delay_s := max((each.delay_s for each in others), default=0.0):
            processor.tell(DelayHeard(delay_s))

    def _poll_if_due(self, name: str, lease: PollLease | None, read_at_s: float) -> None:
        """Take the lease, or make the call when every replica that keeps reading the board has seen the lease."""
        view, now_s = self._views[name], self._runtime.now_s()
        if lease is not None:
            view.poll_due_s = max(view.poll_due_s, now_s + lease.ends_s_in)
        if view.lease is not None:
            token, taken_at_s = view.lease
            if lease is None or lease.token != token:
                view.lease = None  # Redis has evicted it, and other replicas may not know of it.
            elif read_at_s - taken_at_s >= HOLD_S:
                view.lease, view.polling = None, True
                self._runtime.spawn(self._poll, name, taken_at_s)
        elif not view.polling and now_s >= view.poll_due_s:
            taken = self._board.may_poll(name, POLL_LEASE_S)
            view.lease = None if taken is None else (taken, now_s)

    def _poll(self, name: str, taken_at_s: float) -> None:
        try:
            # The process may have been suspended since the lease was taken.
            in_time = self._runtime.now_s() - taken_at_s <= HOLD_S_MAX
            answer = self._probe.ask(name) if in_time else None
            if answer is not None:
                self._board.publish(answer)
        except HealthUnavailableError as error:
            logger.debug("the health of a processor is not shared", processor=name, reason=str(error))
        finally:
            self.tell_self(PollEnded(name))

    def _may_probe(self, name: str, replicas: int) -> bool:
        view, now_s = self._views[name], self._runtime.now_s()
        if view.probed_at_s is not None and now_s - view.probed_at_s < PROBE_SHARE_S * replicas:
            return False
        try:
            granted = self._board.may_probe(name, PROBE_S)
        except HealthUnavailableError:
            granted = replicas <= UNSLOTTED_MAX or self._is_own_slot(PROBE_SHARE_S * replicas)
        if granted:
            view.probed_at_s = now_s
        return granted

    def _is_own_slot(self, period_s: float) -> bool:
        """Tell whether this moment of the period belongs to this replica, as its name decides."""
        place = crc32(self._replica.encode()) / 2**32
        return (self._runtime.now_s() / period_s + place) % 1.0 * period_s < SLOT_S

    def _force(self, name: str, state: BreakerState | None) -> bool:
        view = self._views.get(name)
        if view is None:
            return False
        known_ms = 0 if view.order is None else view.order.given_at_ms
        view.order = Order(state, max(self._runtime.now_ms(), known_ms + 1))
        self._hurried_until_s = self._runtime.now_s() + ORDER_S
        self._processors[name].tell(HoldBreaker(state))
        self._exchange()
        return True
