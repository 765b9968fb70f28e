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
    """The last state of each, of those that are gone for some minutes as well."""
    seconds: Mapping[str, tuple[Second, ...]]
    """By replica, the oldest first."""
    happenings: tuple[Happening, ...]
    """The last ones of all of them, in the order in which they were told."""
