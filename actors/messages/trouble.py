"""A question that readiness asks several actors."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GetTrouble:
    """A question: what keeps the actor from its work? Answers a sentence, or None where nothing does."""
