"""The gateway in virtual time: the product's own breakers, routing, retries and pacing, without its actors.

Left out: the commit before a payment moves (some 10 ms), crashes, and the CPU of anything but charges.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from random import Random
from uuid import UUID

from actors.domain.life import Life, Next

from actors.domain.breaker import Breaker, BreakerState, Call, Cause
from actors.domain.breaker_limits import BreakerLimits
from actors.domain.concurrency_limit import ConcurrencyLimit, ConcurrencyLimits
from actors.domain.outcome import Outcome
from actors.domain.payment import Payment
from actors.domain.processors import Processor
from actors.domain.quorum import Opinion, peer_recovered, quorum_found_down
from actors.domain.rate_limiter import RateLimiter, RateLimits
from actors.domain.routing import Patience, ProcessorView, Routes
from actors.health import HURRY_S, LEASE_S, PROBE_OWN_S, PROBE_S, READ_S
from actors.processor import PROBE_PAUSE_S
from actors.router import RetryLimits
from ops.benchmarks.simulation import SimulatedProcessor, Simulation
from ops.benchmarks.stages import AMOUNT_CENTS, FEES_PERCENT

PROCESSORS = tuple(Processor(name, "", Decimal(fee) / 100) for name, fee in FEES_PERCENT.items())
REPLICAS = 3
STARTS_PER_S = 350.0
"""Charges that the CPU of one replica allows: 900 to 1,000 µs a payment at 0.32 CPU, as a prototype was measured."""
RETRIES = RetryLimits()

Choose = Callable[[Life, Routes, int, float], str | None]
"""From a free payment, its replica's routes, how many others wait, and the time, to a processor; None: it waits."""


def choose_by_routes(life: Life, routes: Routes, waiting: int, now_s: float) -> str | None:
    """Choose as the product does."""
    spent = life.processor if routes.is_spent(life.processor, life.failures_here, now_s) else None
    return routes.choose(waiting=waiting, spent=spent, now_s=now_s).processor


@dataclass(frozen=True, slots=True)
class Policy:
    """What differs between the gateways that are compared; by default nothing from the product."""

    name: str = "fiel"
    patience: Patience = field(default_factory=Patience)
    breaker: BreakerLimits | None = field(default_factory=BreakerLimits)
    """None: it has none."""
    concurrency: ConcurrencyLimits = field(default_factory=ConcurrencyLimits)
    choose: Choose = choose_by_routes


class Gate:
    """One processor as one replica sees it: what `actors/processor.py` does."""

    def __init__(
        self, replica: "Replica", name: str, processor: SimulatedProcessor, view: ProcessorView, policy: Policy
    ) -> None:
        self.name = name
        self.view = view
        self.breaker = Breaker(policy.breaker or BreakerLimits(), replica.chance)
        if policy.breaker is None:
            self.breaker.force(BreakerState.FORCED_CLOSED, 0.0)
        self.told_asked_at_s = -1.0
        """When the health answer was asked for that was told last."""
        self._replica = replica
        self._simulation = replica.simulation
        self._processor = processor
        self._concurrency = ConcurrencyLimit(policy.concurrency)
        self._waiting: deque[Life] = deque()
        self._under_way = 0
        self._tick_at_s: float | None = None
        self._probe_asked = self._probe_granted = False
        self._probed_at_s = -PROBE_OWN_S

    def give(self, life: Life) -> None:
        """Take a payment, to be charged as soon as the pace allows."""
        self.view.take()
        self._waiting.append(life)
        self._send()

    def refresh(self) -> list[Life]:
        """Tell the replica what has changed, and start what may start; gives back what may not be sent."""
        now_s = self._simulation.now_s
        state = self.breaker.state(now_s)
        transitions = self.breaker.take_transitions()
        for transition in transitions:
            # A probe that another replica's success makes worth while costs the fleet's budget nothing.
            self._probe_granted = transition.cause is Cause.PEER_RECOVERED
            if transition.after is BreakerState.CLOSED:
                self._concurrency.reset()
        if transitions:
            self._simulation.call_later(0, self._replica.exchange)
        permits = self.breaker.permits(now_s)
        returned = []
        while permits is not None and len(self._waiting) > permits:
            self.view.under_way -= 1
            returned.append(self._waiting.pop())
        view = self.view
        if view.changed(state, self.breaker.down_since_s, now_s):
            ends_at_s = self._replica.patience_ends_at_s(self.name)
            self._simulation.call_at(max(ends_at_s, now_s), self._replica.go_on, self)
        view.limit = self._concurrency.limit
        view.capacity_per_s = self._concurrency.capacity_per_s()
        view.probes = 0 if permits is None else permits - len(self._waiting)
        self._order_tick()
        self._send()
        return returned[::-1]

    def opinion(self) -> Opinion:
        """Say what other replicas are told."""
        changed_at_s = self.breaker.changed_at_s
        return Opinion(
            self._replica.name,
            self.name,
            down=self.breaker.is_down_by_own_calls,
            closed=self.view.state.is_closed,
            changed_s_ago=None if changed_at_s is None else self._simulation.now_s - changed_at_s,
        )

    def _send(self) -> None:
        while self._waiting:
            permits = self.breaker.permits(self._simulation.now_s)
            probe = permits is not None
            # Where none is permitted, the tick of this very moment is still to come; it gives back what waits.
            if permits == 0 or not (self._may_probe() if probe else self._replica.may_start()):
                return
            self._under_way += 1
            life, call = self._waiting.popleft(), self.breaker.started(self._simulation.now_s)
            ended = partial(self._ended, life, call, self._under_way)
            self._processor.charge(life.payment.correlation_id.int, ended)
            if probe:
                self._order_tick()

    def _may_probe(self) -> bool:
        if self._probe_asked:
            return False
        now_s = self._simulation.now_s
        if not self._probe_granted:
            if now_s - self._probed_at_s < PROBE_OWN_S or not self._replica.fleet.may_probe(self.name):
                self._probe_asked = True
                self._simulation.call_later(PROBE_PAUSE_S, self._probe_due)
                return False
            self._probed_at_s = now_s
        self._probe_granted = False
        return True

    def _probe_due(self) -> None:
        self._probe_asked = False
        self._replica.go_on(self)

    def _order_tick(self) -> None:
        """Come back when time alone changes the breaker's state."""
        at_s = self.breaker.changes_at_s
        if at_s is not None and at_s != self._tick_at_s:
            self._tick_at_s = at_s
            self._simulation.call_at(at_s, self._replica.go_on, self)

    def _ended(self, life: Life, call: Call, in_flight: int, outcome: Outcome) -> None:
        now_s, succeeded, overloaded = self._simulation.now_s, outcome.is_success, outcome is Outcome.OVERLOADED
        self._under_way -= 1
        self.view.under_way -= 1
        self.breaker.ended(call, succeeded=succeeded, now_s=now_s)
        if succeeded or overloaded:
            latency_s = now_s - call.started_s
            self._concurrency.ended(in_flight=in_flight, latency_s=latency_s, overloaded=overloaded, now_s=now_s)
        self._replica.ended(life, outcome)
        self._replica.go_on(self)


class Replica:
    """Holds unsettled payments and decides where they go: what `actors/router.py` does."""

    def __init__(self, name: str, fleet: "Fleet", policy: Policy) -> None:
        self.name = name
        self.fleet = fleet
        self.simulation = fleet.simulation
        self.chance = fleet.chance
        self._policy = policy
        self._routes = Routes(PROCESSORS, policy.patience)
        views = self._routes.views
        self.gates = {
            each: Gate(self, each, processor, views[each], policy) for each, processor in fleet.processors.items()
        }
        self._starts = RateLimiter(
            RateLimits(per_s_min=STARTS_PER_S, per_s_initial=STARTS_PER_S, per_s_max=STARTS_PER_S)
        )
        self._start_ordered = False
        self._held: deque[Life] = deque()
        for gate in self.gates.values():
            gate.refresh()

    def accept(self, number: int) -> None:
        """Take a new payment."""
        self._held.append(Life(Payment(UUID(int=number), AMOUNT_CENTS, 0), self._routes.cheapest_first[0].name))
        self._release()

    def ended(self, life: Life, outcome: Outcome) -> None:
        """Take back a payment after an attempt."""
        life.sent(round(self.simulation.now_s * 1000))
        if life.ended(outcome, self.simulation.now_s) in {Next.SETTLE, Next.LOOK_UP}:
            self.fleet.settled[life.payment.correlation_id.int] = life.processor
        else:
            self._pause(life)

    def go_on(self, gate: Gate) -> None:
        """Do what has become possible by a change at one processor."""
        for life in gate.refresh():
            self._dispatch(life)
        self._release()

    def exchange(self) -> None:
        """Tell the other replicas what this one sees, and act on what they see: what `actors/health.py` does."""
        now_s = self.simulation.now_s
        for gate in self.gates.values():
            own = gate.opinion()
            others = self.fleet.share(own)
            asked_at_s, failing = self.fleet.health(gate.name)
            if asked_at_s > gate.told_asked_at_s:
                gate.told_asked_at_s = asked_at_s
                gate.breaker.health_answered(failing=failing, asked_s_ago=now_s - asked_at_s, now_s=now_s)
            if quorum_found_down(own, others):
                gate.breaker.quorum_found_down(now_s)
            elif peer_recovered(own, others):
                gate.breaker.peer_recovered(now_s)
            self.go_on(gate)

    def exchange_for_ever(self) -> None:
        """Exchange, as often as the state of the breakers asks for."""
        self.exchange()
        all_closed = all(gate.view.state.is_closed for gate in self.gates.values())
        self.simulation.call_later(READ_S if all_closed else HURRY_S, self.exchange_for_ever)

    def patience_ends_at_s(self, processor: str) -> float:
        """Tell when what waits for this processor has to be looked at again."""
        return self._routes.patience_ends_at_s(processor)

    def may_start(self) -> bool:
        """Take the CPU of one charge; where none is left all processors are asked again as soon as there is some."""
        if self._starts.take(self.simulation.now_s):
            return True
        if not self._start_ordered:
            self._start_ordered = True
            self.simulation.call_at(self._starts.next_at_s(self.simulation.now_s), self._start_due)
        return False

    def _start_due(self) -> None:
        self._start_ordered = False
        for gate in self.gates.values():
            self.go_on(gate)

    def _dispatch(self, life: Life) -> None:
        gate = self.gates[life.processor]
        if not life.pinned:
            if self._routes.is_waited_for(life.processor, self.simulation.now_s):
                life.failures_here = 0  # They belong to the outage.
            self._held.append(life)
        elif gate.view.has_room:
            gate.give(life)
        else:
            self._pause(life)

    def _resume(self, life: Life) -> None:
        self._dispatch(life)
        self._release()

    def _pause(self, life: Life) -> None:
        jitter = self.chance.uniform(1 - RETRIES.jitter, 1 + RETRIES.jitter)
        self.simulation.call_later(RETRIES.failures.pause_s(life.failures_in_row) * jitter, self._resume, life)

    def _release(self) -> None:
        while self._held:
            life = self._held[0]
            processor = self._policy.choose(life, self._routes, len(self._held) - 1, self.simulation.now_s)
            if processor is None:
                return
            self._held.popleft()
            if processor != life.processor:
                life.moved(processor)
            self.gates[processor].give(life)


class Fleet:
    """The replicas of one gateway, and what they share."""

    def __init__(
        self, simulation: Simulation, processors: Mapping[str, SimulatedProcessor], policy: Policy, chance: Random
    ) -> None:
        self.simulation = simulation
        self.processors = processors
        self.chance = chance
        self.settled: dict[int, str] = {}
        """Where each settled payment was charged, by its number."""
        self._opinions: dict[tuple[str, str], tuple[float, Opinion]] = {}
        self._probed_at_s = dict.fromkeys(processors, -PROBE_S)
        self._health = dict.fromkeys(processors, (-1.0, False))
        self.replicas = [Replica(str(number + 1), self, policy) for number in range(REPLICAS)]
        simulation.call_later(chance.uniform(0, LEASE_S), self._poll)
        for replica in self.replicas:
            simulation.call_later(chance.uniform(0, READ_S), replica.exchange_for_ever)

    def may_probe(self, processor: str) -> bool:
        """Take a probe out of the budget that all replicas share."""
        if self.simulation.now_s - self._probed_at_s[processor] < PROBE_S:
            return False
        self._probed_at_s[processor] = self.simulation.now_s
        return True

    def share(self, opinion: Opinion) -> list[Opinion]:
        """Publish an opinion; gives those of others on the same processor, as old as they are."""
        now_s = self.simulation.now_s
        self._opinions[opinion.processor, opinion.replica] = (now_s, opinion)
        return [
            _aged(other, now_s - shared_at_s)
            for (processor, replica), (shared_at_s, other) in self._opinions.items()
            if processor == opinion.processor and replica != opinion.replica
        ]

    def health(self, processor: str) -> tuple[float, bool]:
        """Tell when a processor's health endpoint was asked last, and whether it said failing."""
        return self._health[processor]

    def _poll(self) -> None:
        for name, processor in self.processors.items():
            self._health[name] = (self.simulation.now_s, processor.failing)
        self.simulation.call_later(LEASE_S, self._poll)


def _aged(opinion: Opinion, age_s: float) -> Opinion:
    """Let an opinion's age go on while it lies on the board."""
    changed_s_ago = opinion.changed_s_ago
    return opinion if changed_s_ago is None else replace(opinion, changed_s_ago=changed_s_ago + age_s)
