from uuid import UUID

import pytest

from actors.domain.payment import Move
from actors.messages.intake import Recorded
from actors.messages.trouble import GetTrouble
from actors.persistence import COMMIT_BACKOFF
from tests.actors.persisting import LIMITS, Persistence, claims, ids, settlement, written


def test_the_first_item_after_a_pause_is_written_at_once() -> None:
    persistence = Persistence()
    persistence.write(claims(1))
    assert persistence.store.writes == [(1, 0, 0)]
    persistence.advance(1.0)
    persistence.write(claims(2))
    assert persistence.store.writes == [(1, 0, 0), (1, 0, 0)]


def test_the_items_that_follow_are_gathered_for_ten_milliseconds() -> None:
    persistence = Persistence().busy()
    persistence.write(claims(1))
    persistence.advance(0.009)
    persistence.write(claims(2))
    assert persistence.store.writes == []
    persistence.advance(0.001)
    assert persistence.store.writes == [(2, 0, 0)]


def test_where_items_are_many_batches_are_further_apart() -> None:
    persistence = Persistence()
    for number in range(200):
        persistence.write(claims(number))
        persistence.advance(0.010)
    persistence.store.writes.clear()
    for number in range(200, 300):
        persistence.write(claims(number))
        persistence.advance(0.010)
    expected = LIMITS.spacing_s_max / 0.010
    sizes = [claims_written for claims_written, _, _ in persistence.store.writes]
    assert sizes[1:] == [pytest.approx(expected, abs=1)] * len(sizes[1:])
    assert sum(sizes) == pytest.approx(100, abs=expected)


def test_a_full_batch_is_written_at_once() -> None:
    persistence = Persistence()
    persistence.write(claims(*range(250)))
    assert persistence.store.writes == [(100, 0, 0), (100, 0, 0)]
    persistence.advance(0.010)
    assert persistence.store.writes == [(100, 0, 0), (100, 0, 0), (50, 0, 0)]


def test_router_and_intake_learn_of_new_rows_after_the_commit() -> None:
    persistence = Persistence().busy()
    persistence.write(claims(1, 2))
    assert (persistence.router.messages, persistence.intake.messages) == ([], [])
    persistence.advance(0.010)
    assert persistence.router.messages == [written(claimed=ids(1, 2))]
    assert persistence.intake.messages == [Recorded(ids(1, 2))]


def test_settlements_and_moves_share_a_batch_with_new_rows() -> None:
    persistence = Persistence()
    persistence.write(claims(1, 2))
    persistence.router.take()
    persistence.write(settlements=(settlement(1),))
    persistence.write(moves=(Move(UUID(int=2), "fallback", attempts=3, moves=1),))
    persistence.write(claims(3))
    persistence.advance(0.010)
    assert persistence.store.writes[-1] == (1, 1, 1)
    assert persistence.router.messages == [written(claimed=ids(3), moved=ids(2), settled=ids(1))]
    assert persistence.rows == {UUID(int=2): ("1", "fallback"), UUID(int=3): ("1", "default")}


def test_the_intake_hears_nothing_of_a_batch_without_new_rows() -> None:
    persistence = Persistence()
    persistence.write(settlements=(settlement(9),))
    persistence.advance(0.010)
    assert persistence.intake.messages == []


def test_a_full_batch_holds_settlements_before_moves_before_claims() -> None:
    persistence = Persistence()
    moves = tuple(Move(UUID(int=number), "fallback", attempts=1, moves=1) for number in range(30))
    persistence.write(claims(*range(100, 160)), moves, tuple(settlement(number) for number in range(50, 70)))
    assert persistence.store.writes == [(50, 30, 20)]


def test_a_failed_batch_is_tried_again_whole_after_a_growing_pause() -> None:
    persistence = Persistence()
    persistence.store.failures = 3
    persistence.write(claims(1), settlements=(settlement(9),))
    assert persistence.store.failures == 2
    persistence.advance(0.020)
    assert persistence.store.failures == 1
    persistence.advance(0.040)
    assert persistence.store.failures == 0
    assert persistence.unwritten() == 2
    persistence.advance(0.080)
    assert persistence.store.writes == [(1, 0, 1)]
    assert persistence.unwritten() == 0


def test_the_pause_between_attempts_has_a_bound() -> None:
    persistence = Persistence()
    persistence.store.failures = 100
    persistence.write(claims(1))
    for _ in range(100):
        persistence.advance(COMMIT_BACKOFF.longest_s)
    assert persistence.store.failures == 0
    persistence.advance(COMMIT_BACKOFF.longest_s)
    assert persistence.unwritten() == 0


def test_while_postgres_is_away_messages_gather_and_none_is_written_out_of_turn() -> None:
    persistence = Persistence()
    persistence.store.failures = 1
    persistence.write(claims(*range(100)))
    persistence.write(claims(*range(100, 300)))
    assert persistence.store.writes == []
    persistence.advance(0.020)
    persistence.advance(0.010)
    assert list(persistence.rows) == list(ids(*range(300)))


def test_a_row_whose_commit_was_not_answered_is_claimed_by_the_next_try_for_nothing_was_sent() -> None:
    persistence = Persistence()
    persistence.store.lost_answers = 1
    persistence.write(claims(1))
    persistence.advance(0.010)
    assert persistence.router.messages == []
    persistence.advance(0.020)
    assert persistence.router.messages == [written(claimed=ids(1))]
    assert persistence.intake.messages == [Recorded(ids(1))]


def test_a_move_whose_commit_was_not_answered_has_taken_effect_with_the_next_try() -> None:
    persistence = Persistence()
    persistence.write(claims(1))
    persistence.router.take()
    persistence.store.lost_answers = 1
    persistence.write(moves=(Move(UUID(int=1), None, attempts=0, moves=1),))
    persistence.advance(0.010)
    assert persistence.router.messages == []
    persistence.advance(0.020)
    assert persistence.router.messages == [written(moved=ids(1))]


def test_what_waits_is_written_when_the_actor_stops() -> None:
    persistence = Persistence().busy()
    persistence.write(claims(1))
    persistence.actor.on_stop()
    assert persistence.store.writes == [(1, 0, 0)]


def test_also_more_than_a_batch_is_written_when_the_actor_stops() -> None:
    persistence = Persistence().busy()
    persistence.store.failures = 1
    persistence.write(claims(*range(LIMITS.items_max + 50)))
    persistence.actor.on_stop()
    assert sum(claimed for claimed, _, _ in persistence.store.writes) == LIMITS.items_max + 50


def test_a_write_that_fails_when_the_actor_stops_is_left_to_the_journal() -> None:
    persistence = Persistence().busy()
    persistence.write(claims(1))
    persistence.store.failures = 1
    persistence.actor.on_stop()
    assert (persistence.store.writes, persistence.intake.messages) == ([], [])


def test_it_tells_for_how_long_batches_fail_and_why() -> None:
    persistence = Persistence()
    assert persistence.actor.on_receive(GetTrouble()) is None
    persistence.store.failures = 2
    persistence.write(claims(1))
    assert persistence.actor.on_receive(GetTrouble()) == "batches fail for 0 s: planted"
    persistence.advance(1.0)
    persistence.advance(1.0)
    assert persistence.store.failures == 0
    assert persistence.actor.on_receive(GetTrouble()) is None
