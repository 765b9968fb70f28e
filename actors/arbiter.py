"""The arbiter: asks Postgres which amount came first under an id, where replicas have accepted different ones."""

from actors.domain.payment import Payment
from actors.errors import LedgerUnavailableError
from actors.messages.intake import AcceptAnswer, FirstAmountsFound
from actors.ports import PaymentStore, Recipient, Runtime

DECIDED_S_MAX = 0.5
"""How long a client waits for a first amount to be written to Postgres."""
STEP_S = 0.25
"""Time between two looks into Postgres."""


class Arbiter:
    """Decides about payments that the intake could not judge, beside it: looking into Postgres takes time."""

    def __init__(self, payments: PaymentStore, intake: Recipient, runtime: Runtime) -> None:
        self._payments = payments
        self._intake = intake
        self._runtime = runtime

    def decide(self, payment: Payment, answer: AcceptAnswer) -> AcceptAnswer:
        """Answer a payment that the intake found `UNCONFIRMED` or `CONTESTED`.

        What Postgres has is told to the intake, so that nobody needs to ask for this id again. Where Postgres has
        nothing, or does not answer, the only amount that was heard of counts; of several ones none does.

        Returns:
            `REPEATED` or `CONFLICT`; `CONTESTED` where Postgres does not decide within `DECIDED_S_MAX`.
        """
        deadline_s = self._runtime.now_s() + DECIDED_S_MAX
        while True:
            first = self._first(payment, deadline_s)
            if first is not None:
                self._intake.tell(FirstAmountsFound((first,), is_news=True))
                return AcceptAnswer.REPEATED if first.money == payment.money else AcceptAnswer.CONFLICT
            if answer is AcceptAnswer.UNCONFIRMED:
                return AcceptAnswer.CONFLICT
            if self._runtime.now_s() + STEP_S > deadline_s:
                return AcceptAnswer.CONTESTED
            self._runtime.sleep(STEP_S)

    def _first(self, payment: Payment, deadline_s: float) -> Payment | None:
        wait_s_max = max(STEP_S, deadline_s - self._runtime.now_s())
        try:
            record = self._payments.payment(payment.correlation_id, wait_s_max)
        except LedgerUnavailableError:
            return None
        return None if record is None else record.payment
