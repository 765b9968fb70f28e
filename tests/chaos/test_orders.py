"""Single orders of events that a search finds too seldom."""

from uuid import UUID

from actors.domain.lease_watch import LEASE_S
from actors.domain.money import Money
from actors.summaries import SUMMARY_S_MAX, WindowSummary
from tests.chaos.late_rows import FIRST, read_a_row_before_its_payment_moves_and_tell_it_after_the_settlement
from tests.chaos.losses import post_again_before_the_loss_is_noticed
from tests.chaos.model import PROCESSORS, WINDOW_MAX
from tests.chaos.summaries import ask_while_a_charge_is_under_way
from tests.chaos.test_model import HOUR_MS, Gateway
from tests.chaos.wrong_clocks import join_three_seconds_behind, jump_and_return


def run_until_a_row_is_written(gateway: Gateway) -> None:
    while not gateway.model.tables.claims:
        gateway.pass_time(0.01)
        for index in range(10):
            gateway.handle_messages(index, 1)


def test_what_the_window_has_no_room_for_waits_in_the_journal() -> None:
    gateway = Gateway()
    gateway.start()
    for processor in PROCESSORS:
        gateway.behave(processor.name, "refuse")
    gateway.run_freely(1.0)
    for number in range(3 * WINDOW_MAX):
        gateway.post(0, 100 + number, again=False, other=False)
    gateway.run_freely(1.0)
    assert gateway.model.journals["1"].waiting == 2 * WINDOW_MAX
    gateway.teardown()
    assert gateway.model.journals["1"].held == 0


def test_an_id_with_two_amounts_is_charged_with_one_and_reported_with_the_other() -> None:
    gateway = Gateway()
    gateway.start()
    gateway.run_freely(1.0)
    gateway.post(0, 100, again=False, other=False)
    gateway.post(1, 200, again=True, other=True)
    gateway.teardown()
    (charged,) = gateway.model.tables.payments.values()
    conflicts = gateway.model.tables.conflicts[charged.correlation_id]
    assert {charged.money, *conflicts} == {Money(100, "BRL"), Money(200, "BRL")}


def test_a_row_is_adopted_beside_a_payment_of_another_amount() -> None:
    gateway = Gateway()
    gateway.start()
    gateway.run_freely(1.0)
    for processor in PROCESSORS:
        gateway.behave(processor.name, "refuse")
    gateway.post(1, 50, again=False, other=False)
    gateway.run_freely(0.3)  # The second replica's breakers open, so that it holds what comes now.
    gateway.behave("default", "late")
    gateway.post(0, 100, again=False, other=False)
    gateway.post(1, 200, again=True, other=True)
    gateway.run_freely(0.1)
    gateway.crash("1", sent=True)
    gateway.behave("default", "refuse")
    gateway.run_freely(12.0)
    adopted = gateway.model.tables.claims[UUID(int=2)]
    assert (adopted.owner, adopted.claim.payment.amount_minor) == ("2", 100)
    gateway.teardown()
    assert Money(200, "BRL") in gateway.model.tables.conflicts[UUID(int=2)]


def test_a_payment_that_was_not_found_before_a_pause_and_booked_during_it_is_not_charged_again_after_it() -> None:
    gateway = Gateway()
    gateway.start()
    gateway.run_freely(1.0)
    gateway.crash("2", sent=False)
    for processor in PROCESSORS:
        gateway.behave(processor.name, "late")
    gateway.post(0, 100, again=False, other=False)
    gateway.run_freely(1.0)
    gateway.stall_or_go_on("1")
    gateway.run_freely(12.0)
    gateway.teardown()
    assert [len(list(processor.ledger)) for processor in gateway.model.processors.values()] == [1, 0]


def test_a_clock_that_jumps_an_hour_and_back_leaves_no_trace() -> None:
    gateway = Gateway()
    jump_and_return(gateway)
    now_ms = gateway.model.clock.now_ms()
    stamps_ms = [each.requested_at_ms for each in gateway.model.tables.settlements.values()]
    assert len(stamps_ms) == 7
    assert all(0 < now_ms - stamp_ms < HOUR_MS / 2 for stamp_ms in stamps_ms)
    assert gateway.model.replicas["1"].runtime.clock.trouble is None


def test_a_replica_three_seconds_behind_joins_when_its_clock_is_right_and_its_payments_are_charged_by_another() -> None:
    gateway = Gateway()
    join_three_seconds_behind(gateway)
    model = gateway.model
    assert model.tables.leases["2"].has_left
    assert len(model.tables.settlements) == 2
    model.replicas["2"].clock_ahead_ms = 0
    gateway.run_freely(1.0)
    assert not model.tables.leases["2"].has_left
    gateway.teardown()


def test_a_replica_with_a_slow_clock_calls_no_window_final_that_others_still_stamp_charges_into() -> None:
    gateway = Gateway()
    gateway.start()
    model = gateway.model
    gateway.crash("2", sent=False)
    model.replicas["2"].clock_ahead_ms = -900
    gateway.restart("2")
    gateway.run_freely(10.0)
    assert not model.tables.leases["2"].has_left
    slow = model.replicas["2"].system.queries
    end_ms = model.clock.now_ms() - 100  # By the slow clock that is yet to come.
    answers: list[WindowSummary] = []
    model.clock.start(lambda: answers.append(slow.summary(None, end_ms)))
    gateway.run_freely(0.4)
    gateway.post(1, 100, again=False)
    gateway.run_freely(SUMMARY_S_MAX)
    (stamp_ms,) = (each.requested_at_ms for each in model.tables.settlements.values())
    assert stamp_ms < end_ms
    model.clock.start(lambda: answers.append(slow.summary(None, end_ms)))
    gateway.run_freely(SUMMARY_S_MAX)
    assert [(each.final, each.totals["default"].requests) for each in answers] == [(False, 0), (True, 1)]
    gateway.teardown()


def test_replicas_join_tables_that_forgot_their_last_heartbeats_without_starting_anew() -> None:
    gateway = Gateway()
    gateway.start()
    gateway.run_freely(1.0)
    earlier, lives = gateway.model.tables.copy(), [replica.runtime for replica in gateway.model.replicas.values()]
    gateway.run_freely(1.0)
    gateway.model.tables.forget(earlier)
    gateway.run_freely(1.0)
    epochs = {name: lease.epoch for name, lease in gateway.model.tables.leases.items()}
    assert epochs == {name: lease.epoch + 1 for name, lease in earlier.leases.items()}
    assert [replica.runtime for replica in gateway.model.replicas.values()] == lives
    gateway.post(1, 200, again=False, other=False)
    gateway.teardown()


def test_after_a_failover_that_lost_nothing_new_payments_are_charged_at_once() -> None:
    gateway = Gateway()
    gateway.start()
    gateway.fail_over(is_synchronous=True)
    gateway.run_freely(LEASE_S)
    for posted in range(1, 4):
        gateway.fail_over(is_synchronous=True)
        gateway.post(posted, 100, again=False)
        gateway.run_freely(2.0)
        assert len(gateway.model.tables.settlements) == posted
    gateway.teardown()


def test_a_failover_that_lost_nothing_while_a_replica_is_gone_is_waited_out() -> None:
    gateway = Gateway()
    gateway.start()
    gateway.model.tables.is_synchronous = True
    gateway.run_freely(1.0)
    gateway.crash("2", sent=False)
    gateway.fail_over(is_synchronous=True)
    gateway.post(0, 100, again=False)
    gateway.run_freely(LEASE_S)
    assert not gateway.model.tables.settlements
    gateway.run_freely(2.0)
    assert len(gateway.model.tables.settlements) == 1
    gateway.teardown()


def test_a_charge_that_is_booked_after_the_question_is_not_counted_and_the_summary_is_not_final() -> None:
    gateway = Gateway()
    ask_while_a_charge_is_under_way(gateway)
    gateway.teardown()


def test_a_replica_that_restarts_soon_after_postgres_forgot_still_asks_every_processor() -> None:
    gateway = Gateway()
    gateway.start()
    gateway.run_freely(1.0)
    gateway.post(0, 100, again=False)
    run_until_a_row_is_written(gateway)
    gateway.copy_postgres_or_put_it_back(to_copy=True)
    gateway.behave("default", "refuse")
    gateway.run_freely(3.0)
    assert [each.processor for each in gateway.model.tables.settlements.values()] == ["fallback"]
    gateway.behave("fallback", "refuse")
    gateway.copy_postgres_or_put_it_back(to_copy=False)
    gateway.run_freely(1.0)
    gateway.crash("1", sent=False)
    gateway.restart("1")
    gateway.teardown()
    assert [each.processor for each in gateway.model.tables.settlements.values()] == ["fallback"]


def test_what_waits_without_a_row_when_a_loss_is_noticed_is_not_charged_again() -> None:
    post_again_before_the_loss_is_noticed(Gateway())


def test_a_replica_whose_clock_was_wrong_lets_others_join_first_where_postgres_forgot_them() -> None:
    gateway = Gateway()
    gateway.start()
    gateway.lose_postgres("1", 1, 0)
    gateway.post(1, 100, again=False)
    gateway.copy_postgres_or_put_it_back(to_copy=True)
    gateway.behave("default", "slow")
    gateway.step_the_clock("1", HOUR_MS)
    gateway.run_freely(1.0)
    gateway.copy_postgres_or_put_it_back(to_copy=False)
    gateway.run_freely(0.1)
    gateway.teardown()


def test_a_replica_that_stands_aside_says_so_again_to_a_postgres_that_forgot_it() -> None:
    gateway = Gateway()
    gateway.start()
    gateway.post(1, 100, again=False)
    gateway.step_the_clock("1", HOUR_MS)
    gateway.copy_postgres_or_put_it_back(to_copy=True)
    gateway.run_freely(5.0)
    gateway.copy_postgres_or_put_it_back(to_copy=False)
    gateway.teardown()


def test_a_payment_that_postgres_forgets_once_more_after_it_was_written_anew_and_settled_may_be_missing() -> None:
    gateway = Gateway()
    gateway.start()
    gateway.run_freely(1.0)
    gateway.copy_postgres_or_put_it_back(to_copy=True)
    gateway.behave("default", "slow")
    gateway.post(0, 100, again=False)
    run_until_a_row_is_written(gateway)
    gateway.copy_postgres_or_put_it_back(to_copy=False)
    gateway.behave("default", "ok")
    while not gateway.model.tables.settlements:
        gateway.run_freely(0.1)
    gateway.copy_postgres_or_put_it_back(to_copy=False)
    gateway.every_accepted_payment_is_durable()
    gateway.teardown()


def test_a_row_that_arrives_after_its_payment_has_moved_and_is_settled_is_not_charged() -> None:
    gateway = Gateway()
    read_a_row_before_its_payment_moves_and_tell_it_after_the_settlement(gateway)
    charged = {name: {each.correlation_id for each in gateway.model.charges(name)} for name in gateway.model.processors}
    assert [FIRST in charged[name] for name in ("default", "fallback")] == [False, True]


def test_what_postgres_forgets_before_a_process_has_read_it_since_its_start_is_known_to_nobody() -> None:
    gateway = Gateway()
    gateway.start()
    gateway.copy_postgres_or_put_it_back(to_copy=True)
    gateway.post(0, 1, again=False)
    # The journal gives a payment away once its row is committed.
    for seconds in (0.0, 0.1):
        gateway.run_freely(seconds)
        gateway.crash("1", sent=False)
        gateway.restart("1", leaves=False)
    assert gateway.model.tables.payments.keys() == gateway.accepted.keys()
    gateway.copy_postgres_or_put_it_back(to_copy=False)
    assert gateway.model.loss.payments == gateway.accepted.keys()
    gateway.teardown()
