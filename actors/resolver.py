"""Applies what operators have found out to the lifecycle of the payment, so that it is committed like other changes."""

from actors.domain.lifecycle import WRITING
from actors.domain.resolution import Resolution, ResolutionAnswer
from actors.errors import GatewayUnavailableError, LedgerUnavailableError
from actors.logs import get_logger
from actors.messages.router import GetDriven, Resolve
from actors.outages import OutageReporter
from actors.ports import PaymentStore, Recipient, ResolutionStore, Runtime

logger = get_logger(__name__)

RESOLUTIONS_MAX = 100
"""Findings that are read in one round."""
ASK_S_MAX = 1.0


class Resolver:
    """Answers findings on behalf of the lease's actor. Its methods block until all that they ask for is answered.

    The router applies a finding in memory. The finding is answered in a later round, once what follows from it is
    committed: a replica that dies before that leaves it open.
    """

    def __init__(
        self, *, resolutions: ResolutionStore, payments: PaymentStore, router: Recipient, runtime: Runtime
    ) -> None:
        self._resolutions = resolutions
        self._payments = payments
        self._router = router
        self._runtime = runtime
        self._later = OutageReporter(logger, "operators' decisions are answered later", runtime.now_s)
        self._applied: frozenset[int] = frozenset()
        """Numbers of the findings that the router has applied, and that are not answered yet."""
        self._after = 0
        """The number of the last finding of the round before if more stood behind it; else 0."""

    def answer_round(self) -> None:
        """Answer some findings on payments that this replica drives, or that none drives; the next round goes on.

        Raises:
            LedgerUnavailableError: Postgres does not answer. A later round finds what was not answered, but this
                replica may now own a row that its router was not told of.
        """
        found = self._resolutions.unanswered(RESOLUTIONS_MAX, self._after)
        try:
            for resolution in found:
                answer = self._apply(resolution)
                if answer is not None:
                    self._answer(resolution, answer)
        except GatewayUnavailableError as error:
            self._later.failed(reason=str(error))
            return
        self._later.succeeded()
        # Findings that cannot be answered now do not hold up those behind them.
        self._after = found[-1].number if len(found) == RESOLUTIONS_MAX else 0

    def _answer(self, resolution: Resolution, answer: ResolutionAnswer) -> None:
        finding = resolution.finding
        logger.warning(
            "an operator's decision on a payment is answered",
            correlation_id=finding.correlation_id,
            charged_by=finding.charged_by,
            answer=answer.value,
        )
        self._resolutions.answer(resolution.number, answer, self._runtime.now_ms())
        self._applied -= {resolution.number}

    def _apply(self, resolution: Resolution) -> ResolutionAnswer | None:
        """Apply a finding; None until that is committed, or where another replica drives the payment by now.

        Raises:
            GatewayUnavailableError: the router does not answer. It may apply the finding all the same, once.
        """
        number, key = resolution.number, resolution.finding.correlation_id
        # A payment that has ended since the finding was applied has ended by it, and is not taken up again.
        taken_up = None if number in self._applied else self._resolutions.reopen(key)
        reopened, ended = taken_up or (None, None)
        try:
            answer: ResolutionAnswer | None = self._router.ask(Resolve(resolution, reopened, ended), ASK_S_MAX)
        except GatewayUnavailableError as error:
            if reopened is not None:
                raise LedgerUnavailableError("a payment was taken up again, and its router does not answer") from error
            raise
        if answer is ResolutionAnswer.APPLIED:
            self._applied |= {number}
            driven = self._router.ask(GetDriven(key), ASK_S_MAX)
            if driven is not None:
                return None if driven.state in WRITING else answer
        return answer if answer is ResolutionAnswer.MAY_SETTLE else self._answer_of_undriven(resolution)

    def _answer_of_undriven(self, resolution: Resolution) -> ResolutionAnswer | None:
        finding, is_applied = resolution.finding, resolution.number in self._applied
        record = self._payments.payment(finding.correlation_id)
        if record is None:
            return ResolutionAnswer.NOT_FOUND
        if record.archived:
            return ResolutionAnswer.SETTLED
        if record.settlement is None:
            return ResolutionAnswer.APPLIED if is_applied and record.closing is not None else None
        booked = record.settlement.processor, record.settlement.requested_at_ms
        is_as_found = booked == (finding.charged_by, finding.requested_at_ms)
        is_charged_anew = is_applied and finding.charged_by is None
        return ResolutionAnswer.APPLIED if is_as_found or is_charged_anew else ResolutionAnswer.SETTLED
