"""Finds out whether any replica has accepted a payment that neither Postgres nor this replica knows."""

from uuid import UUID

from actors.domain.peers import Denials
from actors.errors import GatewayUnavailableError
from actors.known_here import ASK_S_MAX
from actors.messages.gossip import AskPeers, GetDenials
from actors.ports import Recipient, Runtime

ANSWERS_S_MAX = 0.5
"""How long the other replicas have to answer."""
NAMED_MAX = 3
"""How many replicas that could not be asked are named to a client."""
STEP_S = 0.05
"""Time between two looks at what they have answered."""


class PeerQuestions:
    """Asks all other replicas whether they have accepted an id."""

    def __init__(self, gossip: Recipient, runtime: Runtime) -> None:
        self._gossip = gossip
        self._runtime = runtime
        self._others: frozenset[str] | None = None
        """The other replicas, as Postgres named them last: nobody waits for more answers than theirs."""

    def deniers(self, correlation_id: UUID) -> frozenset[str]:
        """Wait for the answers of the others; name those that hold nothing of the id.

        What they accepted before this call is certainly found by them, or in Postgres after it. If one of them knows
        the id, this replica's intake knows it afterwards.

        Raises:
            GatewayUnavailableError: too many ask at once, or gossip does not answer.
        """
        number: int | None = self._gossip.ask(AskPeers(correlation_id), ASK_S_MAX)
        if number is None:
            raise GatewayUnavailableError("too many unknown payments are asked for at once")
        deadline_s = self._runtime.now_s() + ANSWERS_S_MAX
        while True:
            denials: Denials = self._gossip.ask(GetDenials(number), ASK_S_MAX)
            is_over = self._others is not None and self._others <= denials.replicas
            if is_over or denials.is_known or self._runtime.now_s() >= deadline_s:
                return denials.replicas
            self._runtime.sleep(STEP_S)

    def check_complete(self, deniers: frozenset[str], others: frozenset[str]) -> None:
        """Check that every one of the `others` denied the id.

        Raises:
            GatewayUnavailableError: one of them may have accepted it.
        """
        self._others = others
        if silent := sorted(others - deniers):
            named = ", ".join(silent[:NAMED_MAX]) + (" and others" if len(silent) > NAMED_MAX else "")
            raise GatewayUnavailableError(f"replicas could not be asked whether they have accepted it: {named}")
