"""What all replicas together have told of themselves."""

from collections.abc import Mapping
from dataclasses import dataclass

from actors.domain.happenings import Happening
from actors.domain.replica_status import HeardStatus
from actors.domain.seconds import Second


@dataclass(frozen=True, slots=True)
class SharedStatus:
    """What the replicas have told of themselves."""

    heard: tuple[HeardStatus, ...]
    """The latest state of each replica, also of those that have been gone for some minutes."""
    seconds: Mapping[str, tuple[Second, ...]]
    """The seconds of each replica, the oldest first."""
    happenings: tuple[Happening, ...]
    """The latest happenings of all replicas, in the order in which they were told."""
