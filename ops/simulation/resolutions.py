"""Operators' findings on payments, in memory."""

from uuid import UUID

from actors.domain.payment import Claim, EndState
from actors.domain.resolution import Finding, Resolution, ResolutionAnswer
from ops.simulation.stores import MemoryStore
from ops.simulation.tables import KeptResolution, OwnedClaim


class MemoryResolutions(MemoryStore):
    """Fulfils `actors.ports.ResolutionStore`."""

    def ask(self, finding: Finding, asked_by: str, asked_at_ms: int) -> int:  # noqa: ARG002  # the trace is read by people
        self._answer()
        kept = self.tables.resolutions
        number = len(kept) + 1
        kept[number] = KeptResolution(Resolution(number, finding))
        return number

    def answer_to(self, number: int) -> ResolutionAnswer | None:
        self._answer()
        return self.tables.resolutions[number].answer

    def unanswered(self, resolutions_max: int, after: int = 0) -> tuple[Resolution, ...]:
        self._answer()
        claims = self.tables.claims
        open_ones = []
        for kept in self.tables.resolutions.values():
            owned = claims.get(kept.resolution.finding.correlation_id)
            is_open = kept.answer is None and kept.resolution.number > after
            if is_open and (owned is None or owned.owner == self.fence.replica):
                open_ones.append(kept.resolution)
        return tuple(open_ones[:resolutions_max])

    def reopen(self, correlation_id: UUID) -> tuple[Claim, EndState] | None:
        self._answer()
        tables, replica = self.tables, self.fence.replica
        lease = tables.leases.get(replica)
        closing = tables.closings.get(correlation_id)
        if closing is None or lease is None or lease.epoch != self.fence.epoch:
            return None
        del tables.closings[correlation_id]
        claim = Claim(closing.payment, closing.processor, closing.attempts)
        tables.claims[correlation_id] = OwnedClaim(replica, claim)
        return claim, closing.state

    def answer(self, number: int, answer: ResolutionAnswer, answered_at_ms: int) -> None:  # noqa: ARG002  # as above
        self._answer()
        self.tables.resolutions[number].answer = answer
