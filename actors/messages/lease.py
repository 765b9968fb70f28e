"""What the lease's actor is told."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BeatDue:
    """The actor tells itself: the lease is to be taken or renewed."""


@dataclass(frozen=True, slots=True)
class Leave:
    """End the lease for good, since the replica stops."""


LeaseMessage = BeatDue | Leave
