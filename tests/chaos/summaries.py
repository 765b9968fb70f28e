"""An order of events in which a summary is asked while a charge with a stamp of its window is under way."""

from actors.summaries import WindowSummary
from tests.chaos.test_model import Gateway, count_charges


def ask_while_a_charge_is_under_way(gateway: Gateway) -> None:
    """Let a processor book a charge soon after a replica was asked for a window that holds its stamp.

    A later charge of the same replica stays under way, so that its watermarks go on and are waited for.
    """
    gateway.start()
    gateway.run_freely(1.0)
    gateway.post(0, 100, again=False)
    _work(gateway, 0.5)
    stamped_ms = gateway.model.clock.now_ms()
    gateway.post(0, 100, again=False)
    _work(gateway, 1.0)
    asked_ms = gateway.model.clock.now_ms()
    found: list[WindowSummary] = []
    asked = gateway.model.replicas["2"]
    gateway.model.clock.start(lambda: found.append(asked.system.queries.summary(None, stamped_ms)))
    gateway.pass_time(0.01)
    gateway.end_a_call(0)
    assert sum(len(processor.ledger) for processor in gateway.model.processors.values()) == 1
    _work(gateway, 1.0)
    (summary,) = found
    assert not summary.final, "final too early"
    assert summary.as_of_ms == asked_ms, "not the moment of the question"
    assert count_charges(summary) == 0, "not booked yet"


def _work(gateway: Gateway, seconds: float) -> None:
    """Let the actors handle their messages, while calls stay under way."""
    end_s = gateway.model.clock.time_s + seconds
    while gateway.model.clock.time_s < end_s:
        gateway.pass_time(0.01)
        for index in range(10):
            gateway.handle_messages(index, 1)
