"""What a replica concludes from what Postgres tells of itself and of purges."""

from dataclasses import replace
from uuid import UUID

import pytest

from actors.domain.payment import Payment, Settlement
from actors.domain.records import (
    FIRST,
    NEVER_MS,
    NOTHING_MISSING,
    Beat,
    LastPurge,
    LedgerSummary,
    LookUpAnswer,
    LookUpResult,
    PaymentRecord,
    PaymentState,
    Position,
    Registration,
    ReplicaState,
    StoreIdentity,
    WriteResult,
)

SEEN = StoreIdentity(system_id="7", timeline=10, position=500, noted_position=400, mark=30)
STANDBY = replace(SEEN, timeline=11, is_synchronous=True)
PAYMENT = Payment(UUID(int=1), 1990, accepted_at_ms=1000)


def test_the_history_is_named_by_the_system_and_the_timeline_in_hexadecimal() -> None:
    assert SEEN.history == "7/0000000A"
    assert str(SEEN) == "system 7, timeline 10, position 500 with 400 noted"


def test_a_store_follows_what_was_seen_of_it_where_nothing_has_become_less() -> None:
    assert SEEN.follows(SEEN)
    assert replace(SEEN, position=501, noted_position=401, mark=31).follows(SEEN)


@pytest.mark.parametrize(
    "other",
    [
        replace(SEEN, system_id="8"),
        replace(SEEN, timeline=11),
        replace(SEEN, timeline=9),
        replace(SEEN, position=499),
        replace(SEEN, noted_position=399),
        replace(SEEN, mark=29),
    ],
)
def test_a_store_that_lacks_anything_or_is_another_one_does_not_follow(other: StoreIdentity) -> None:
    assert not other.follows(SEEN)


def test_a_standby_carries_on_where_it_has_the_last_mark_and_write_and_commits_waited_for_it() -> None:
    assert STANDBY.carries_on(SEEN)
    assert replace(STANDBY, mark=31).carries_on(SEEN)
    assert replace(STANDBY, mark=1).carries_on(replace(SEEN, mark=1))


@pytest.mark.parametrize(
    ("standby", "seen"),
    [
        (replace(STANDBY, system_id="8"), SEEN),
        (replace(STANDBY, timeline=10), SEEN),
        (replace(STANDBY, mark=29), SEEN),
        (replace(STANDBY, mark=0), replace(SEEN, mark=0)),
        (replace(STANDBY, has_last_write=False), SEEN),
        (replace(STANDBY, is_synchronous=False), SEEN),
    ],
)
def test_a_standby_that_may_lack_anything_does_not_carry_on(standby: StoreIdentity, seen: StoreIdentity) -> None:
    assert not standby.carries_on(seen)


def test_a_store_counts_as_synchronous_only_where_it_says_so_and_as_whole_unless_it_says_otherwise() -> None:
    assert (SEEN.is_synchronous, SEEN.has_last_write, SEEN.is_established) == (False, True, True)
    assert StoreIdentity("7", 1, 0, 0).mark == 0


def test_what_was_noted_is_the_position_and_the_greatest_mark() -> None:
    assert SEEN.noted() == replace(SEEN, noted_position=500)
    assert SEEN.noted(29) == replace(SEEN, noted_position=500)
    assert SEEN.noted(31) == replace(SEEN, noted_position=500, mark=31)
    assert StoreIdentity("7", 1, 0, 0).noted().mark == 0


@pytest.mark.parametrize(
    ("at_ms", "generation", "is_forgotten"),
    [(1000, 4, True), (1001, 4, True), (999, 4, False), (1000, 5, False), (1000, 6, False)],
)
def test_a_purge_forgets_what_was_accepted_up_to_it_under_an_earlier_generation(
    at_ms: int, generation: int, *, is_forgotten: bool
) -> None:
    assert LastPurge(5, at_ms).forgets(PAYMENT, generation) is is_forgotten


def test_marks_and_confirmations_are_no_part_of_who_a_replica_is() -> None:
    registration, beat = Registration(1, 2, 3, 4, mark=5), Beat(renewed=True, generation=1, mark=5)
    assert (replace(registration, mark=6), replace(beat, mark=6)) == (registration, beat)
    state = ReplicaState("a", 1, "1", 1, has_left=False, published_ms=0, clock=None)
    assert state == replace(state, has_confirmed=False, is_synchronous=True)
    assert (state.has_confirmed, state.is_synchronous) == (True, False)


def test_what_is_not_said_is_nothing() -> None:
    assert LookUpAnswer(LookUpResult.MISSING).requested_at_ms is None
    assert WriteResult((), (), ()).disputed == ()
    assert (SEEN.forgot_history, SEEN.forgot_at_ms) == (None, None)
    assert (Registration(1, 2, 3, 4).mark, Beat(renewed=True, generation=1).mark) == (0, 0)
    assert LedgerSummary((), 5).left_out == 0
    record = PaymentRecord(PAYMENT, "default", "a", None, ())
    assert (record.closing, record.marked, record.archived) == (None, None, False)


def test_a_payment_stands_in_a_list_by_its_charge_or_before_that_by_its_acceptance() -> None:
    driven = PaymentRecord(PAYMENT, "default", "a", None, ())
    assert driven.position == Position(1000, PAYMENT.correlation_id)
    settled = replace(driven, settlement=Settlement(PAYMENT, "default", 1500, 1, 1501))
    assert settled.position == Position(1500, PAYMENT.correlation_id)
    assert FIRST < Position(0, UUID(int=0)) < driven.position < settled.position


def test_what_stands_for_never_and_for_the_first_of_all_are_the_bounds_of_what_postgres_stores() -> None:
    assert (NEVER_MS, NOTHING_MISSING.stamp_ms, NOTHING_MISSING.answer_ms) == (2**63 - 1,) * 3
    assert Position(-(2**63), UUID(int=0)) == FIRST


def test_results_of_look_ups_and_states_of_payments_have_the_names_that_the_api_shows() -> None:
    assert [result.value for result in LookUpResult] == ["charged", "missing", "mismatched", "no answer"]
    names = ["accepted", "unknown", "stranded", "declined", "mismatched", "settled"]
    assert [state.value for state in PaymentState] == names
