"""Applies what operators have found out: through the payment's own life, so by the same commits as any other change."""

import logging

from actors.domain.payment import EndState
from actors.domain.resolution import Resolution, ResolutionAnswer
from actors.errors import GatewayUnavailableError
from actors.messages.router import Adopt, Resolve
from actors.ports import PaymentStore, Recipient, ResolutionStore, Runtime

logger = logging.getLogger(__name__)

RESOLUTIONS_MAX = 100
"""Verdicts that are read at once."""
ASK_S_MAX = 1.0


class Resolver:
    """Answers verdicts on behalf of the lease's actor. Its methods block until all that they ask for is answered."""

    def __init__(
        self, *, resolutions: ResolutionStore, payments: PaymentStore, router: Recipient, runtime: Runtime
    ) -> None:
        self._resolutions = resolutions
        self._payments = payments
        self._router = router
        self._runtime = runtime

    def answer_all(self) -> None:
        """Answer the verdicts on payments that this replica drives, or that none drives.

        Raises:
            LedgerUnavailableError: what was not answered is found again.
        """
        for resolution in self._resolutions.unanswered(RESOLUTIONS_MAX):
            answer = self._apply(resolution)
            if answer is not None:
                verdict = resolution.verdict
                said = f"charged by {verdict.charged_by}" if verdict.charged_by else "not charged"
                logger.warning("an operator says that %s was %s: %s", verdict.correlation_id, said, answer.value)
                self._resolutions.answer(resolution.number, answer, self._runtime.now_ms())

    def _apply(self, resolution: Resolution) -> ResolutionAnswer | None:
        """Apply a verdict; None where another replica drives the payment by now, or the router does not answer."""
        key = resolution.verdict.correlation_id
        reopened = self._resolutions.reopen(key)
        ended: EndState | None = None
        if reopened is not None:
            claim, ended = reopened
            self._router.tell(Adopt((claim,), self._runtime.now_ms()))
        try:
            answer: ResolutionAnswer | None = self._router.ask(Resolve(resolution.verdict, ended), ASK_S_MAX)
        except GatewayUnavailableError:
            return None
        return answer or self._answer_of_undriven(resolution)

    def _answer_of_undriven(self, resolution: Resolution) -> ResolutionAnswer | None:
        record = self._payments.payment(resolution.verdict.correlation_id)
        if record is None:
            return ResolutionAnswer.NOT_FOUND
        return ResolutionAnswer.SETTLED if record.settlement is not None else None
