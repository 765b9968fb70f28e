"""Orders of events in which clocks are wrong. No window that was called final may change in any of them."""

from tests.chaos.test_model import HOUR_MS, Gateway


def run(gateway: Gateway, seconds: float) -> None:
    """Let time pass, and check after each tenth of a second that nothing that was called final has changed."""
    for _ in range(round(seconds * 10)):
        gateway.run_freely(0.1)
        gateway.a_final_summary_misses_no_charge()


def jump_and_return(gateway: Gateway) -> None:
    """Let the clock of the only replica jump an hour ahead and back, and the replica restart, while payments come."""
    gateway.start()
    run(gateway, 1.0)
    gateway.crash("2", sent=False)
    run(gateway, 7.0)
    for ahead_ms in (HOUR_MS, 0):
        gateway.step_the_clock("1", ahead_ms)
        for index in range(3):
            gateway.post(index, 100, again=False)
            run(gateway, 5.0)
    gateway.crash("1", sent=False)
    gateway.restart("1")
    gateway.post(0, 100, again=False)
    run(gateway, 3.0)
    gateway.teardown()


def join_three_seconds_behind(gateway: Gateway) -> None:
    """Let a replica start with a slow clock, and take a payment, where others have long called windows final."""
    gateway.start()
    run(gateway, 1.0)
    gateway.post(0, 100, again=False)
    gateway.crash("2", sent=False)
    run(gateway, 10.0)
    gateway.step_the_clock("2", -3_000)
    gateway.restart("2")
    run(gateway, 2.0)
    gateway.post(1, 200, again=False)
    run(gateway, 10.0)
