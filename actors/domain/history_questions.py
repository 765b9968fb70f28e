"""The questions and answers of replicas about the history of one payment."""

from collections.abc import Collection
from dataclasses import dataclass, field
from uuid import UUID

from actors.domain.histories import ReplicaHistory
from actors.domain.level import Level

ASKED_HISTORIES_MAX = 16
"""The most payments about which a replica waits for answers at once."""
ASKED_S_MAX = 1.0
"""How long answers are kept for whoever asked for them."""


@dataclass(frozen=True, slots=True)
class ToldStep:
    """One step of a payment's history, as it is told."""

    at_ms: int
    """Wall clock of the replica that tells it, milliseconds since the epoch."""
    what: str
    processor: str | None


@dataclass(frozen=True, slots=True)
class ToldHistory:
    """The history of a payment through one replica, as that tells it."""

    replica: str
    steps: tuple[ToldStep, ...]
    waits_for: str | None
    """What the payment waits for; None where that replica does not drive it."""


@dataclass(frozen=True, slots=True)
class HistoryQuestion:
    """A replica asks all others what they have done with a payment."""

    asker: str
    number: int
    """Differs for all questions of one asker, those of its earlier runs included."""
    correlation_id: UUID


@dataclass(frozen=True, slots=True)
class HistoryAnswer:
    """What a replica tells the one that asked; without steps if it knows nothing of the payment."""

    asker: str
    number: int
    history: ToldHistory


def told_history(history: ReplicaHistory, replica: str, now_s: float, now_ms: int) -> ToldHistory:
    """Give a history with wall-clock times for other replicas, whose monotonic clocks differ."""
    steps = (ToldStep(now_ms - round((now_s - each.at_s) * 1000), each.what, each.processor) for each in history.steps)
    return ToldHistory(replica, tuple(steps), history.waits_for)


@dataclass(slots=True)
class _AskedHistory:
    correlation_id: UUID
    until_s: float
    is_sent: bool = False
    told: dict[str, ToldHistory] = field(default_factory=dict)
    """The answers, by the replica that gave them."""


class HistoryQuestions:
    """The payments whose histories a replica asks the others for, and what they have answered."""

    def __init__(self, replica: str, number: int) -> None:
        """`number` is that of the first question, above those of all earlier runs of this replica."""
        self._replica = replica
        self._number = number
        self._asked: dict[int, _AskedHistory] = {}

    def ask(self, correlation_id: UUID, now_s: float) -> int | None:
        """Let the next exchange ask for a payment; give the number of the question, None where too many are asked."""
        self._asked = {number: each for number, each in self._asked.items() if each.until_s > now_s}
        if len(self._asked) >= ASKED_HISTORIES_MAX:
            return None
        self._number += 1
        self._asked[self._number] = _AskedHistory(correlation_id, now_s + ASKED_S_MAX)
        return self._number

    def level(self, now_s: float) -> Level:
        """Tell about how many payments somebody may still wait for answers."""
        return Level(sum(each.until_s > now_s for each in self._asked.values()), ASKED_HISTORIES_MAX)

    def is_waiting(self, now_s: float) -> bool:
        """Tell whether somebody may still wait for answers."""
        return any(each.until_s > now_s for each in self._asked.values())

    def unsent(self) -> tuple[HistoryQuestion, ...]:
        """Give the questions that are to be told now, each once."""
        unsent = {number: each for number, each in self._asked.items() if not each.is_sent}
        for each in unsent.values():
            each.is_sent = True
        return tuple(HistoryQuestion(self._replica, number, each.correlation_id) for number, each in unsent.items())

    def answered(self, answers: Collection[HistoryAnswer]) -> None:
        """Record a replica's answers; those to other askers are ignored."""
        for answer in answers:
            if answer.asker == self._replica and (asked := self._asked.get(answer.number)) is not None:
                asked.told[answer.history.replica] = answer.history

    def told(self, number: int) -> tuple[ToldHistory, ...]:
        """Tell the answers so far, also those of replicas that know nothing; none after `ASKED_S_MAX`."""
        asked = self._asked.get(number)
        return () if asked is None else tuple(asked.told.values())
