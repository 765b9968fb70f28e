"""Replicas ask each other for the history of a payment, and know whose answer is to which question."""

from uuid import UUID

from actors.domain.histories import ReplicaHistory, Step
from actors.domain.history_questions import (
    ASKED_HISTORIES_MAX,
    ASKED_S_MAX,
    HistoryAnswer,
    HistoryQuestion,
    HistoryQuestions,
    ToldHistory,
    ToldStep,
    told_history,
)
from actors.domain.level import Level

ONE, TWO = UUID(int=1), UUID(int=2)
NOTHING = ToldHistory("2", (), None)


def test_each_question_is_told_once() -> None:
    questions = HistoryQuestions("1", number=10)
    assert (questions.ask(ONE, 0.0), questions.ask(TWO, 0.0)) == (11, 12)
    assert questions.unsent() == (HistoryQuestion("1", 11, ONE), HistoryQuestion("1", 12, TWO))
    assert questions.unsent() == ()


def test_answers_are_told_by_replica_and_those_to_others_are_not() -> None:
    questions = HistoryQuestions("1", number=10)
    number = questions.ask(ONE, 0.0)
    assert number is not None
    known = ToldHistory("3", (ToldStep(5, "sent", "default"),), "a commit in Postgres")
    questions.answered(
        [HistoryAnswer("1", number, NOTHING), HistoryAnswer("2", number, known), HistoryAnswer("1", 7, known)]
    )
    assert questions.told(number) == (NOTHING,)
    questions.answered([HistoryAnswer("1", number, known)])
    assert questions.told(number) == (NOTHING, known)
    assert questions.told(number + 1) == ()


def test_no_more_are_waited_for_at_once_than_may_be_and_each_for_a_while() -> None:
    questions = HistoryQuestions("1", number=10)
    assert all(questions.ask(ONE, 0.0) for _ in range(ASKED_HISTORIES_MAX))
    assert questions.is_waiting(0.0)
    assert questions.ask(ONE, 0.0) is None
    assert not questions.is_waiting(ASKED_S_MAX)
    assert questions.ask(ONE, ASKED_S_MAX) is not None


def test_a_history_is_told_with_instants_of_the_wall_clock() -> None:
    history = ReplicaHistory((Step(99.0, "sent", "default"), Step(99.5, "charge ended: failed", "default")), "a pause")
    assert told_history(history, "1", now_s=100.0, now_ms=50_000) == ToldHistory(
        "1", (ToldStep(49_000, "sent", "default"), ToldStep(49_500, "charge ended: failed", "default")), "a pause"
    )


def test_only_what_somebody_may_still_wait_for_is_counted() -> None:
    questions = HistoryQuestions("1", number=10)
    questions.ask(ONE, 0.0)
    questions.ask(TWO, ASKED_S_MAX / 2)
    assert questions.level(0.0) == Level(2, ASKED_HISTORIES_MAX)
    assert questions.level(ASKED_S_MAX) == Level(1, ASKED_HISTORIES_MAX)
