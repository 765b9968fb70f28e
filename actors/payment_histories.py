"""Asks all replicas for the history of one payment."""

from uuid import UUID

from actors.domain.history_questions import ToldHistory
from actors.errors import GatewayUnavailableError
from actors.known_here import ASK_S_MAX
from actors.messages.gossip import AskHistory, GetHistories
from actors.messages.lease import GetLivingCount
from actors.messages.router import GetHistory
from actors.ports import Recipient, Runtime

ANSWERS_S_MAX = 0.5
"""How long the other replicas have to answer."""
STEP_S = 0.05
"""Time between two looks at what they have answered."""


class PaymentHistories:
    """Gathers what replicas remember of payments; nothing of it is relied on."""

    def __init__(self, router: Recipient, gossip: Recipient, lease: Recipient, runtime: Runtime) -> None:
        self._router = router
        self._gossip = gossip
        self._lease = lease
        self._runtime = runtime

    def ask(self, correlation_id: UUID) -> tuple[ToldHistory, ...]:
        """Tell what each replica has done with a payment, this one first; those that do not answer soon are missing.

        Raises:
            GatewayUnavailableError: this replica does not answer, or too many ask at once.
        """
        own: ToldHistory = self._router.ask(GetHistory(correlation_id), ASK_S_MAX)
        others: int = self._lease.ask(GetLivingCount(), ASK_S_MAX) - 1
        number: int | None = self._gossip.ask(AskHistory(correlation_id), ASK_S_MAX)
        if number is None:
            raise GatewayUnavailableError("the histories of too many payments are asked for at once")
        deadline_s = self._runtime.now_s() + ANSWERS_S_MAX
        while True:
            told: tuple[ToldHistory, ...] = self._gossip.ask(GetHistories(number), ASK_S_MAX)
            if len(told) >= others or self._runtime.now_s() >= deadline_s:
                return (own, *told)
            self._runtime.sleep(STEP_S)
