"""`POST /purge-payments`: forgets every payment."""

from typing import Protocol

import falcon


class PurgingGateway(Protocol):
    """What a purge needs of the gateway."""

    def purge(self) -> None:
        """Forget every payment, on all replicas."""


class PurgeResource:
    """Forgets every payment, where the operator allows it."""

    def __init__(self, gateway: PurgingGateway, *, allowed: bool) -> None:
        self._gateway = gateway
        self._allowed = allowed

    def on_post(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Forget every payment, queued ones included, and answer 204."""
        if not self._allowed:
            raise falcon.HTTPForbidden(
                title="Purging is off",
                description="a gateway forgets payments only where it is started with ALLOW_PURGE=1",
            )
        self._gateway.purge()
        resp.status = falcon.HTTP_204
