"""Accepts what an operator has found out about a payment that does not settle by itself, on any replica."""

from actors.domain.resolution import Finding, ResolutionAnswer
from actors.errors import GatewayUnavailableError
from actors.ports import ResolutionStore, Runtime

ANSWER_S_MAX = 8.0
"""How long an operator waits for the replica that drives the payment. It covers a lease that ends meanwhile."""
STEP_S = 0.1


class Resolutions:
    """Keeps findings in Postgres, where the replica that drives the payment finds them."""

    def __init__(self, resolutions: ResolutionStore, runtime: Runtime) -> None:
        self._resolutions = resolutions
        self._runtime = runtime

    def now_ms(self) -> int:
        """Give the wall clock of this replica in milliseconds since the epoch."""
        return self._runtime.now_ms()

    def resolve(self, finding: Finding, asked_by: str) -> ResolutionAnswer:
        """Keep a finding, and wait for what becomes of it.

        Raises:
            LedgerUnavailableError: Postgres does not answer. The finding may be kept all the same.
            GatewayUnavailableError: no replica answers in time; the finding is kept, and is answered later.
        """
        number = self._resolutions.ask(finding, asked_by, self._runtime.now_ms())
        deadline_s = self._runtime.now_s() + ANSWER_S_MAX
        while self._runtime.now_s() < deadline_s:
            answer = self._resolutions.answer_to(number)
            if answer is not None:
                return answer
            self._runtime.sleep(STEP_S)
        raise GatewayUnavailableError(f"resolution {number} is stored, but no replica has answered it yet")
