from uuid import UUID

import pytest

from actors.domain.history_questions import HistoryAnswer, HistoryQuestion, ToldHistory
from actors.domain.level import Level
from actors.domain.payment import Payment
from actors.domain.peers import ASKED_IDS_MAX, ASKED_S_MAX, Denials, OpenQuestions, PeerAnswer, PeerNews, PeerQuestion

A, B = UUID(int=1), UUID(int=2)
PAYMENT = Payment(A, 1990, 1_750_000_000_000)


def asked(questions: OpenQuestions, correlation_id: UUID, now_s: float = 0.0) -> int:
    ticket = questions.ask(correlation_id, now_s)
    assert ticket is not None
    return ticket


def test_ids_that_were_not_sent_yet_stand_in_the_next_question_once() -> None:
    questions = OpenQuestions("1", number=10)
    assert questions.next_question(()) is None
    for correlation_id in (A, B, A):
        asked(questions, correlation_id)
    assert questions.has_unsent
    assert questions.next_question(()) == PeerQuestion("1", 11, (A, B))
    assert questions.next_question(()) is None
    asked(questions, A)
    assert questions.next_question(()) == PeerQuestion("1", 12, (A,))


def test_only_an_answer_to_the_own_question_that_was_sent_after_asking_counts() -> None:
    questions = OpenQuestions("1", number=10)
    early = asked(questions, A)
    questions.next_question(())
    late = asked(questions, A)
    questions.answered("2", [PeerAnswer("1", 11, (A,)), PeerAnswer("3", 12, (A,))])
    questions.next_question(())
    questions.answered("3", [PeerAnswer("1", 11, (A,)), PeerAnswer("3", 12, (A,))])
    assert (questions.denials(early), questions.denials(late)) == (Denials(frozenset({"2", "3"})), Denials())


def test_who_answers_and_does_not_deny_an_id_knows_it() -> None:
    questions = OpenQuestions("1", number=10)
    one, other = asked(questions, A), asked(questions, B)
    questions.next_question(("3",))
    questions.answered("2", [PeerAnswer("1", 11, (B,))])
    assert questions.denials(one) == Denials(frozenset({"3"}), is_known=True)
    assert questions.denials(other) == Denials(frozenset({"2", "3"}))


def test_no_more_ids_are_asked_for_at_once_than_allowed_and_those_whose_time_is_over_make_room() -> None:
    questions = OpenQuestions("1", number=10)
    tickets = [questions.ask(UUID(int=number), 0.0) for number in range(ASKED_IDS_MAX + 1)]
    assert (None in tickets[:-1], tickets[-1]) == (False, None)
    assert questions.is_waiting(ASKED_S_MAX - 0.01)
    assert not questions.is_waiting(ASKED_S_MAX)
    asked(questions, A, ASKED_S_MAX)
    assert questions.denials(1) == Denials()


def test_news_without_anything_to_tell_are_none() -> None:
    assert not PeerNews("1")
    assert PeerNews("1") == PeerNews("1", (), (), None, (), (), ())


@pytest.mark.parametrize(
    "news",
    [
        PeerNews("1", accepted=(PAYMENT,)),
        PeerNews("1", decided=(PAYMENT,)),
        PeerNews("1", question=PeerQuestion("1", 1, (A,))),
        PeerNews("1", answers=(PeerAnswer("2", 1, ()),)),
        PeerNews("1", histories_asked=(HistoryQuestion("1", 1, A),)),
        PeerNews("1", histories=(HistoryAnswer("2", 1, ToldHistory("1", (), None)),)),
    ],
)
def test_each_kind_of_news_is_told_by_itself(news: PeerNews) -> None:
    assert news


def test_only_ids_that_somebody_may_still_wait_for_are_counted() -> None:
    questions = OpenQuestions("1", number=10)
    asked(questions, A)
    asked(questions, B, ASKED_S_MAX / 2)
    assert questions.level(0.0) == Level(2, ASKED_IDS_MAX)
    assert questions.level(ASKED_S_MAX) == Level(1, ASKED_IDS_MAX)
