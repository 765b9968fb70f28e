"""Replicas ask each other for the way of a payment, and know whose answer is to which question."""

from uuid import UUID

from actors.domain.level import Level
from actors.domain.way_questions import (
    ASKED_MAX,
    ASKED_S_MAX,
    ToldStep,
    ToldWay,
    WayAnswer,
    WayQuestion,
    WayQuestions,
    told_way,
)
from actors.domain.ways import Step, Way

ONE, TWO = UUID(int=1), UUID(int=2)
NOTHING = ToldWay("2", (), None)


def test_each_question_is_told_once() -> None:
    questions = WayQuestions("1", number=10)
    assert (questions.ask(ONE, 0.0), questions.ask(TWO, 0.0)) == (11, 12)
    assert questions.unsent() == (WayQuestion("1", 11, ONE), WayQuestion("1", 12, TWO))
    assert questions.unsent() == ()


def test_answers_are_told_by_replica_and_those_to_others_are_not() -> None:
    questions = WayQuestions("1", number=10)
    number = questions.ask(ONE, 0.0)
    assert number is not None
    known = ToldWay("3", (ToldStep(5, "sent", "default"),), "a commit in Postgres")
    questions.answered([WayAnswer("1", number, NOTHING), WayAnswer("2", number, known), WayAnswer("1", 7, known)])
    assert questions.told(number) == (NOTHING,)
    questions.answered([WayAnswer("1", number, known)])
    assert questions.told(number) == (NOTHING, known)
    assert questions.told(number + 1) == ()


def test_no_more_are_waited_for_at_once_than_may_be_and_each_for_a_while() -> None:
    questions = WayQuestions("1", number=10)
    assert all(questions.ask(ONE, 0.0) for _ in range(ASKED_MAX))
    assert questions.is_waiting(0.0)
    assert questions.ask(ONE, 0.0) is None
    assert not questions.is_waiting(ASKED_S_MAX)
    assert questions.ask(ONE, ASKED_S_MAX) is not None


def test_a_way_is_told_with_instants_of_the_wall_clock() -> None:
    way = Way((Step(99.0, "sent", "default"), Step(99.5, "charge ended: failed", "default")), "a pause")
    assert told_way(way, "1", now_s=100.0, now_ms=50_000) == ToldWay(
        "1", (ToldStep(49_000, "sent", "default"), ToldStep(49_500, "charge ended: failed", "default")), "a pause"
    )


def test_only_what_somebody_may_still_wait_for_is_counted() -> None:
    questions = WayQuestions("1", number=10)
    questions.ask(ONE, 0.0)
    questions.ask(TWO, ASKED_S_MAX / 2)
    assert questions.level(0.0) == Level(2, ASKED_MAX)
    assert questions.level(ASKED_S_MAX) == Level(1, ASKED_MAX)
