"""Applies what operators have found out: through the payment's own life, so by the same commits as any other change."""

import logging

from actors.domain.resolution import Resolution, ResolutionAnswer
from actors.errors import GatewayUnavailableError
from actors.messages.router import Resolve
from actors.ports import PaymentStore, Recipient, ResolutionStore, Runtime

logger = logging.getLogger(__name__)

RESOLUTIONS_MAX = 100
"""Findings that are read at once."""
ASK_S_MAX = 1.0


class Resolver:
    """Answers findings on behalf of the lease's actor. Its methods block until all that they ask for is answered."""

    def __init__(
        self, *, resolutions: ResolutionStore, payments: PaymentStore, router: Recipient, runtime: Runtime
    ) -> None:
        self._resolutions = resolutions
        self._payments = payments
        self._router = router
        self._runtime = runtime

    def answer_all(self) -> None:
        """Answer the findings on payments that this replica drives, or that none drives.

        Raises:
            LedgerUnavailableError: what was not answered is found again.
        """
        for resolution in self._resolutions.unanswered(RESOLUTIONS_MAX):
            answer = self._apply(resolution)
            if answer is not None:
                finding = resolution.finding
                said = f"charged by {finding.charged_by}" if finding.charged_by else "not charged"
                logger.warning("an operator says that %s was %s: %s", finding.correlation_id, said, answer.value)
                self._resolutions.answer(resolution.number, answer, self._runtime.now_ms())

    def _apply(self, resolution: Resolution) -> ResolutionAnswer | None:
        """Apply a finding; None where another replica drives the payment by now, or the router does not answer."""
        key = resolution.finding.correlation_id
        reopened, ended = self._resolutions.reopen(key) or (None, None)
        message = Resolve(resolution.finding, reopened, ended)
        try:
            answer: ResolutionAnswer | None = self._router.ask(message, ASK_S_MAX)
        except GatewayUnavailableError:
            return None
        return answer or self._answer_of_undriven(resolution)

    def _answer_of_undriven(self, resolution: Resolution) -> ResolutionAnswer | None:
        record = self._payments.payment(resolution.finding.correlation_id)
        if record is None:
            return ResolutionAnswer.NOT_FOUND
        return ResolutionAnswer.SETTLED if record.settlement is not None else None
