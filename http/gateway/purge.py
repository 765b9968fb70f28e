"""`POST /purge-payments`: forgets every payment."""

from typing import Protocol

import falcon

from gateway.operators import OperatorRight, Operators, note_order


class PurgingGateway(Protocol):
    """What a purge needs of the gateway."""

    def purge(self) -> None:
        """Forget every payment, on all replicas."""


class PurgeResource:
    """Forgets every payment, for an operator, or for everybody where that is allowed."""

    def __init__(self, gateway: PurgingGateway, operators: Operators) -> None:
        self._gateway = gateway
        self._operators = operators

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Forget every payment, queued ones included, and answer 204."""
        self._operators.check(req, OperatorRight.PURGE)
        note_order(req, OperatorRight.PURGE)
        self._gateway.purge()
        resp.status = falcon.HTTP_204
