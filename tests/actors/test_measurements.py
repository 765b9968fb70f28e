"""A replica tells how full it is, and leaves out what nobody answers."""

from typing import Any

import pytest

from actors.actor import Actor
from actors.domain.counted import Counted
from actors.domain.histogram import Histogram
from actors.domain.level import Level
from actors.domain.outcome import Outcome
from actors.domain.payment import Move
from actors.domain.records import LookUpResult
from actors.errors import GatewayUnavailableError
from actors.feed import CONSUMERS_MAX
from actors.gossip import UNTOLD_MAX, GossipActor
from actors.intake import IntakeActor
from actors.look_ups import LOOK_UPS_MAX
from actors.measurements import measure
from actors.messages.gossip import GetGossipStats, GossipStats, Spread
from actors.messages.intake import GetIntakeStats, IntakeStats, TakeOver
from actors.messages.persistence import GetIncidents, GetWriteStats, WriteStats
from actors.messages.processor import GetProcessorStatus
from actors.messages.router import GetRouterStats
from actors.persistence import PersistenceActor
from actors.processor import ProcessorActor
from actors.router import RouterActor
from actors.summaries import ASKERS_MAX
from tests.actors.fakes import payment
from tests.actors.intaking import Intake
from tests.actors.persisting import Persistence, claims, ids, settlement
from tests.actors.replicating import Process
from tests.actors.test_gossip import ONE, TWO, Gossip
from tests.actors.test_processor import Processor

NOTHING = Histogram(1.0).counted()
WRITES = WriteStats({("default", "BRL"): (3, 300)}, {}, NOTHING, NOTHING)
INTAKE = IntakeStats(Level(1, 10), Level(2, 20), Level(3, 20), taken_over=0)
GOSSIP = GossipStats(Level(0, 20_000), Level(1, 64), Level(0, 16))


def answering(**unanswered: GatewayUnavailableError) -> Process:
    """Start a process whose actors answer, but for those that do not."""
    process = Process().start()
    process.system.answer("persistence", {GetWriteStats: unanswered.get("persistence", WRITES)})
    process.system.answer("intake", {GetIntakeStats: unanswered.get("intake", INTAKE)})
    process.system.answer("gossip", {GetGossipStats: unanswered.get("gossip", GOSSIP)})
    return process


def test_what_the_actors_answer_and_what_is_shared_is_gathered() -> None:
    measured = measure(answering().system, None)
    assert (measured.writes, measured.intake, measured.gossip) == (WRITES, INTAKE, GOSSIP)
    assert (measured.readers, measured.pool, measured.restarts) == (Level(0, ASKERS_MAX), Level(1, 4), 0)
    assert (measured.feed_consumers, measured.feed_behind_s) == (Level(0, CONSUMERS_MAX), 0.0)
    assert sum(measured.syncs.counts) == 0


@pytest.mark.parametrize(
    ("actor", "question"),
    [
        (IntakeActor, GetIntakeStats),
        (PersistenceActor, GetWriteStats),
        (PersistenceActor, GetIncidents),
        (RouterActor, GetRouterStats),
        (ProcessorActor, GetProcessorStatus),
        (GossipActor, GetGossipStats),
    ],
)
def test_who_reads_metrics_cannot_fill_a_mailbox(actor: type[Actor], question: type) -> None:
    assert question in actor.REFUSED_WHEN_FULL


@pytest.mark.parametrize(("silent", "field"), [("persistence", "writes"), ("intake", "intake"), ("gossip", "gossip")])
def test_what_an_actor_does_not_answer_is_none(silent: str, field: str) -> None:
    measured = measure(answering(**{silent: GatewayUnavailableError("planted")}).system, None)
    assert getattr(measured, field) is None
    assert [measured.writes, measured.intake, measured.gossip].count(None) == 1


def test_messages_that_wait_are_told_by_actor_and_a_processor_may_bear_an_actors_name() -> None:
    mailboxes = measure(answering().system, None).mailboxes
    others = {"intake", "router", "persistence", "lease", "health", "gossip"}
    assert mailboxes == dict.fromkeys((*others, "processor_default", "processor_fallback"), Level(0, 4096))


def test_what_several_actors_have_counted_is_added_up() -> None:
    system = answering().system
    for each in (system.persistence, system.router):
        each.counts[Counted.FAILED_COMMIT] += 2
    assert measure(system, None).counts == {Counted.FAILED_COMMIT: 4}


def told(actor: Actor, question: object) -> Any:  # noqa: ANN401  # the answer's type depends on the question
    return actor.on_receive(question)


def test_the_intake_tells_of_its_journal_and_the_ids_that_it_knows() -> None:
    intake = Intake(open_max=50, recent_max=1000)
    intake.actor.on_receive(TakeOver((payment(1), payment(2))))
    stats = told(intake.actor, GetIntakeStats())
    assert stats == IntakeStats(Level(2, 50), Level(2, 1000), Level(0, 1000), taken_over=2)


def test_persistence_tells_of_what_it_committed_and_of_what_failed() -> None:
    persistence = Persistence()
    persistence.write(claims(1, 2))
    persistence.advance(0.1)
    persistence.store.failures = 1
    persistence.write(moves=(Move(ids(1)[0], "fallback", 1, 1),), settlements=(settlement(2),))
    persistence.advance(0.01)
    failed = told(persistence.actor, GetWriteStats())
    assert (failed.settled, failed.moved) == ({}, {})
    persistence.advance(1.0)
    assert persistence.actor.counts == {Counted.FAILED_COMMIT: 1}
    stats = told(persistence.actor, GetWriteStats())
    assert (stats.settled, stats.moved) == ({("default", "BRL"): (1, 1990)}, {"fallback": 1})
    assert (sum(stats.commits.counts), sum(stats.settling.counts)) == (2, 1)


def test_gossip_tells_of_what_waits_for_other_replicas() -> None:
    gossip = Gossip()
    gossip.actor.on_receive(Spread((payment(1), payment(2)), (payment(3),)))
    gossip.ask(ONE)
    gossip.ask_history(TWO)
    gossip.actor.on_receive(Spread((payment(4),)))
    stats = told(gossip.actor, GetGossipStats())
    assert stats == GossipStats(Level(1, UNTOLD_MAX), Level(1, 64), Level(1, 16))
    gossip.advance(2.0)
    assert told(gossip.actor, GetGossipStats()).ids_asked == Level(0, 64)


def test_a_processor_tells_how_charges_and_look_ups_ended() -> None:
    processor = Processor()
    processor.client.outcomes.extend([Outcome.SETTLED, Outcome.FAILED])
    processor.charge(1, 2)
    processor.run()
    processor.look_up(3)
    assert processor.status().look_ups == Level(1, LOOK_UPS_MAX)
    processor.run()
    status = processor.status()
    ended = {outcome: sum(each.counts) for outcome, each in status.charges_ended.items() if any(each.counts)}
    assert ended == {Outcome.SETTLED: 1, Outcome.FAILED: 1}
    assert Outcome.NOT_SENT not in status.charges_ended
    assert (sum(status.looked_up.values()), status.look_ups) == (1, Level(0, LOOK_UPS_MAX))
    assert status.looked_up.keys() == set(LookUpResult)
