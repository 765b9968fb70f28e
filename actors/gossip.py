"""Gossip: tells the other replicas which payments were accepted, and asks them about ids that are not known here."""

from collections.abc import Sequence
from typing import assert_never
from uuid import UUID

from actors.actor import Actor
from actors.domain.history_questions import HistoryAnswer, HistoryQuestion, HistoryQuestions
from actors.domain.level import Level
from actors.domain.payment import Payment
from actors.domain.peers import OpenQuestions, PeerAnswer, PeerNews, PeerQuestion
from actors.domain.trouble import Trouble
from actors.errors import GatewayUnavailableError, PeersUnavailableError
from actors.known_here import ASK_S_MAX, KnownHere, known_here
from actors.logs import get_logger
from actors.messages.gossip import (
    AnswersDue,
    AskHistory,
    AskPeers,
    GetDenials,
    GetGossipStats,
    GetHistories,
    GossipMessage,
    GossipStats,
    Spread,
    SpreadDue,
)
from actors.messages.intake import AcceptedByPeers, DecidedByPeers, in_chunks
from actors.messages.router import GetHistory
from actors.messages.trouble import GetTrouble
from actors.ports import JournalShelf, PeerChannel, Recipient, Runtime

logger = get_logger(__name__)

EXCHANGE_S = 0.25
"""Time between two exchanges with the other replicas."""
ASKING_S = 0.05
"""Time between two exchanges while somebody waits for answers of the other replicas."""
UNTOLD_MAX = 20_000
"""Payments that may wait to be told to the other replicas. Further ones are not told."""
TOLD_MAX = 5000
"""Payments that one exchange tells, so that reading them does not hold up other replicas."""
ANSWERED_MAX = 256
"""Ids of other replicas' questions that one exchange answers; the latest questions come first."""
HISTORIES_MAX = 16
"""Histories of payments that one exchange tells other replicas."""


class GossipActor(Actor):
    """Keeps the accepted payments that the other replicas have not been told of yet, and the questions to them.

    No replica relies on being told: Postgres refuses a second payment with the same id. Silence denies nothing.
    """

    REFUSED_WHEN_FULL = (AskPeers, GetDenials, AskHistory, GetHistories, GetGossipStats, GetTrouble)

    def __init__(
        self,
        *,
        channel: PeerChannel,
        intake: Recipient,
        router: Recipient,
        shelf: JournalShelf,
        runtime: Runtime,
        replica: str,
    ) -> None:
        super().__init__()
        self._channel = channel
        self._intake = intake
        self._router = router
        self._shelf = shelf
        self._runtime = runtime
        self._replica = replica
        # One exchange has one question, so that those of an earlier run have lower numbers.
        self._questions = OpenQuestions(replica, runtime.now_ms())
        self._history_questions = HistoryQuestions(replica, runtime.now_ms())
        self._is_asking = False
        """Whether `AnswersDue` is under way."""
        self._accepted: list[Payment] = []
        self._decided: list[Payment] = []
        self._trouble = Trouble("accepted payments are not exchanged")

    def on_start(self) -> None:
        """Read at once what other replicas have told lately."""
        self.tell_self(SpreadDue())

    def on_stop(self) -> None:
        """Close the channel."""
        self._channel.close()

    def on_receive(self, message: GossipMessage) -> object:  # noqa: C901, PLR0911  # a line for each message
        """Handle one message."""
        match message:
            case Spread(accepted, decided):
                room = UNTOLD_MAX - len(self._accepted) - len(self._decided)
                self._decided.extend(decided[:room])
                self._accepted.extend(accepted[: max(0, room - len(decided))])
            case SpreadDue():
                self._exchange()
                self._runtime.call_later(EXCHANGE_S, self.tell_self, SpreadDue())
            case AskPeers(correlation_id):
                return self._hurry(self._questions.ask(correlation_id, self._runtime.now_s()))
            case AnswersDue():
                self._exchange()
                now_s = self._runtime.now_s()
                self._is_asking = self._questions.is_waiting(now_s) or self._history_questions.is_waiting(now_s)
                if self._is_asking:
                    self._runtime.call_later(ASKING_S, self.tell_self, AnswersDue())
            case GetDenials(number):
                return self._questions.denials(number)
            case AskHistory(correlation_id):
                return self._hurry(self._history_questions.ask(correlation_id, self._runtime.now_s()))
            case GetHistories(number):
                return self._history_questions.told(number)
            case GetGossipStats():
                now_s, untold = self._runtime.now_s(), len(self._accepted) + len(self._decided)
                asked = self._questions.level(now_s), self._history_questions.level(now_s)
                return GossipStats(Level(untold, UNTOLD_MAX), *asked)
            case GetTrouble():
                return self._trouble.describe(self._runtime.now_s())
            case _:
                assert_never(message)
        return None

    def _hurry(self, number: int | None) -> int | None:
        """Exchange at once, and often, while somebody waits for answers to the question of this number."""
        if number is not None and not self._is_asking:
            self._is_asking = True
            self.tell_self(AnswersDue())
        return number

    def _exchange(self) -> None:
        """Hear what is new, answer what was asked, then tell what is to be told."""
        # What these replicas accepted before now is in Postgres, or with another replica, which is asked.
        emptied = self._shelf.emptied() if self._questions.has_unsent else ()
        question = self._questions.next_question(emptied)
        try:
            answers, found, histories = self._hear()
            accepted, decided = self._accepted[:TOLD_MAX], self._decided[:TOLD_MAX]
            asked = self._history_questions.unsent()
            news = PeerNews(self._replica, (*accepted, *found), tuple(decided), question, answers, asked, histories)
            if news:
                self._channel.tell(news)
        except PeersUnavailableError as error:
            logger.debug(
                "accepted payments are not announced to others yet", payments=len(self._accepted), reason=str(error)
            )
            self._trouble.failed(error, self._runtime.now_s())
            return
        self._trouble.succeeded()
        del self._accepted[: len(accepted)], self._decided[: len(decided)]

    def _hear(self) -> tuple[tuple[PeerAnswer, ...], list[Payment], tuple[HistoryAnswer, ...]]:
        """Pass on what others told; give the answers to their questions, payments that these tell of, and histories."""
        questions: list[PeerQuestion] = []
        histories_asked: list[HistoryQuestion] = []
        for news in self._channel.hear():
            for chunk in in_chunks(news.accepted):
                self._intake.tell(AcceptedByPeers(chunk))
            for chunk in in_chunks(news.decided):
                self._intake.tell(DecidedByPeers(chunk))
            self._questions.answered(news.replica, news.answers)
            self._history_questions.answered(news.histories)
            histories_asked += (each for each in news.histories_asked if each.asker != self._replica)
            if news.question is not None and news.question.asker != self._replica:
                questions.append(news.question)
        return *self._answer(questions), self._tell_histories(histories_asked)

    def _tell_histories(self, asked: Sequence[HistoryQuestion]) -> tuple[HistoryAnswer, ...]:
        """Tell what was done here with the payments that others ask for, the latest questions first."""
        try:
            return tuple(
                HistoryAnswer(each.asker, each.number, self._router.ask(GetHistory(each.correlation_id), ASK_S_MAX))
                for each in asked[-HISTORIES_MAX:]
            )
        except GatewayUnavailableError as error:
            logger.debug("other replicas are not told of payments", payments=len(asked), reason=str(error))
            return ()

    def _answer(self, questions: Sequence[PeerQuestion]) -> tuple[tuple[PeerAnswer, ...], list[Payment]]:
        answered: list[PeerQuestion] = []
        asked: dict[UUID, None] = {}
        for question in reversed(questions):
            if len(asked) + len(question.correlation_ids) > ANSWERED_MAX:
                break
            answered.append(question)
            asked.update(dict.fromkeys(question.correlation_ids))
        if not asked:
            return (), []
        try:
            known = known_here(self._intake, self._router, asked)
        except GatewayUnavailableError as error:
            logger.debug("other replicas are not answered about ids", ids=len(asked), reason=str(error))
            return (), []
        answers = (
            PeerAnswer(each.asker, each.number, tuple(one for one in each.correlation_ids if one not in known))
            for each in answered
        )
        return tuple(answers), [self._payment(each, known[each]) for each in known]

    def _payment(self, correlation_id: UUID, known: KnownHere) -> Payment:
        """Make the payment to be told; other replicas keep nothing of it but the amount."""
        return Payment(correlation_id, known.money.minor, self._runtime.now_ms(), known.money.currency)
