"""The arbiter: asks Postgres which amount came first under an id, where replicas have accepted different ones."""

from actors.domain.payment import Payment
from actors.errors import LedgerUnavailableError
from actors.messages.intake import AcceptAnswer, FirstAmountsFound
from actors.ports import PaymentStore, Recipient, Runtime

DECIDED_S_MAX = 0.5
"""How long a client waits for a first amount to be written to Postgres."""
STEP_S = 0.25
"""Time between two reads from Postgres."""
READS_MAX = 2
"""Reads under way at once, so that the connection is soon free for other questions; others wait for their turn."""


class Arbiter:
    """Decides about payments that the intake could not judge; the intake need not wait for the reads from Postgres."""

    def __init__(self, payments: PaymentStore, intake: Recipient, runtime: Runtime) -> None:
        self._payments = payments
        self._intake = intake
        self._runtime = runtime
        self._reading = 0

    def decide(self, payment: Payment, answer: AcceptAnswer) -> AcceptAnswer:
        """Answer a payment that the intake found `UNCONFIRMED` or `CONTESTED`.

        What Postgres has is told to the intake, so that nobody needs to ask for this id again. Where Postgres has
        nothing, or does not answer, an amount that was accepted here counts if it is the only one that is known of.

        Returns:
            `REPEATED` or `CONFLICT`; `CONTESTED` where Postgres does not decide within `DECIDED_S_MAX`.
        """
        deadline_s = self._runtime.now_s() + DECIDED_S_MAX
        while True:
            is_asked = self._reading < READS_MAX
            first = self._first(payment, deadline_s) if is_asked else None
            if first is not None:
                self._intake.tell(FirstAmountsFound((first,), is_news=True))
                return AcceptAnswer.REPEATED if first.money == payment.money else AcceptAnswer.CONFLICT
            if is_asked and answer is AcceptAnswer.UNCONFIRMED:
                return AcceptAnswer.CONFLICT
            if self._runtime.now_s() + STEP_S > deadline_s:
                return AcceptAnswer.CONTESTED
            self._runtime.sleep(STEP_S)

    def _first(self, payment: Payment, deadline_s: float) -> Payment | None:
        wait_s_max = max(STEP_S, deadline_s - self._runtime.now_s())
        self._reading += 1
        try:
            record = self._payments.payment(payment.correlation_id, wait_s_max)
        except LedgerUnavailableError:
            return None
        finally:
            self._reading -= 1
        return None if record is None else record.payment
