"""What replicas tell and ask each other: accepted payments, first amounts, ids, and histories of payments."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from uuid import UUID

from actors.domain.history_questions import HistoryAnswer, HistoryQuestion
from actors.domain.level import Level
from actors.domain.payment import Payment

ASKED_IDS_MAX = 64
"""The most ids about which a replica waits for answers at once."""
ASKED_S_MAX = 1.0
"""How long answers are kept for whoever asked for them."""


@dataclass(frozen=True, slots=True)
class PeerQuestion:
    """Ids that a replica asks all others about."""

    asker: str
    number: int
    """Differs for all questions of one asker, those of its earlier runs included."""
    correlation_ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class PeerAnswer:
    """What a replica answers once it has searched all that it holds. One that cannot search all does not answer."""

    asker: str
    number: int
    denied: tuple[UUID, ...]
    """The ids that it has not accepted. It tells of the others as accepted payments."""


@dataclass(frozen=True, slots=True)
class PeerNews:
    """What one replica tells all replicas at once."""

    replica: str
    """Empty where a replica of an earlier release does not say it."""
    accepted: tuple[Payment, ...] = ()
    decided: tuple[Payment, ...] = ()
    """Payments whose amounts Postgres has."""
    question: PeerQuestion | None = None
    answers: tuple[PeerAnswer, ...] = ()
    histories_asked: tuple[HistoryQuestion, ...] = ()
    histories: tuple[HistoryAnswer, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anything to tell."""
        asked = self.question or self.histories_asked
        return bool(self.accepted or self.decided or asked or self.answers or self.histories)


@dataclass(frozen=True, slots=True)
class Denials:
    """What the other replicas have answered so far to the question for one id."""

    replicas: frozenset[str] = frozenset()
    """Replicas that certainly hold no payment with this id."""
    is_known: bool = False
    """Whether another replica knows the id."""


@dataclass(slots=True)
class _Asked:
    correlation_id: UUID
    until_s: float
    question: int | None = None
    """The number of the question that it was sent with; None before that."""
    denied_by: set[str] = field(default_factory=set)
    is_known: bool = False


class OpenQuestions:
    """The ids that a replica asks the others about, and their answers.

    An answer counts only if it answers a question that was sent after the id was asked for: so it denies all that was
    accepted before that moment.
    """

    def __init__(self, replica: str, number: int) -> None:
        """`number` is that of the first question, above those of all earlier runs of this replica."""
        self._replica = replica
        self._question = number
        self._tickets = 0
        self._asked: dict[int, _Asked] = {}

    def ask(self, correlation_id: UUID, now_s: float) -> int | None:
        """Let the next question hold this id; give the ticket for its answers, None where too many are asked for."""
        self._asked = {ticket: each for ticket, each in self._asked.items() if each.until_s > now_s}
        if len(self._asked) >= ASKED_IDS_MAX:
            return None
        self._tickets += 1
        self._asked[self._tickets] = _Asked(correlation_id, now_s + ASKED_S_MAX)
        return self._tickets

    def level(self, now_s: float) -> Level:
        """Tell about how many ids somebody may still wait for answers."""
        return Level(sum(each.until_s > now_s for each in self._asked.values()), ASKED_IDS_MAX)

    def is_waiting(self, now_s: float) -> bool:
        """Tell whether somebody may still wait for answers."""
        return any(each.until_s > now_s for each in self._asked.values())

    def next_question(self, denying: Collection[str]) -> PeerQuestion | None:
        """Gather the ids that were not sent yet; None where there are none.

        `denying` names the replicas that need not be asked: they held nothing at a moment after the ids were asked for.
        """
        unsent = [each for each in self._asked.values() if each.question is None]
        if not unsent:
            return None
        self._question += 1
        for each in unsent:
            each.question = self._question
            each.denied_by.update(denying)
        return PeerQuestion(self._replica, self._question, tuple({each.correlation_id: None for each in unsent}))

    @property
    def has_unsent(self) -> bool:
        """Whether there are ids that no question has held yet."""
        return any(each.question is None for each in self._asked.values())

    def answered(self, replica: str, answers: Collection[PeerAnswer]) -> None:
        """Record a replica's answers; those to other askers are ignored."""
        for answer, asked in self._matching(answers):
            if asked.correlation_id in answer.denied:
                asked.denied_by.add(replica)
            else:
                asked.is_known = True

    def denials(self, ticket: int) -> Denials:
        """Tell what was answered so far; nothing where the ticket has expired."""
        asked = self._asked.get(ticket)
        return Denials() if asked is None else Denials(frozenset(asked.denied_by), asked.is_known)

    def _matching(self, answers: Collection[PeerAnswer]) -> Iterator[tuple[PeerAnswer, _Asked]]:
        for answer in answers:
            if answer.asker == self._replica:
                yield from ((answer, each) for each in self._asked.values() if each.question == answer.number)
