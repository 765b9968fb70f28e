"""The messages to the lease actor."""

from dataclasses import dataclass

from actors.messages.trouble import GetTrouble


@dataclass(frozen=True, slots=True)
class BeatDue:
    """The actor tells itself: the lease is to be taken or renewed."""


@dataclass(frozen=True, slots=True)
class Leave:
    """End the lease for good, since the replica stops."""


@dataclass(frozen=True, slots=True)
class GetLivingCount:
    """A question: how many replicas had a lease when Postgres told last, this one included?"""


@dataclass(frozen=True, slots=True)
class GetForgotten:
    """A question: may Postgres have forgotten something within an hour? Answers a sentence, or None if it has not."""


LeaseMessage = BeatDue | Leave | GetTrouble | GetForgotten | GetLivingCount
