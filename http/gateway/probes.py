"""`GET /livez` and `GET /readyz`."""

from http import HTTPStatus
from typing import Protocol

import falcon

from actors.readiness import Readiness
from gateway.answers import LivenessAnswer, ReadinessAnswer
from gateway.media import write_body


class ProbedGateway(Protocol):
    """What the probes need of the gateway."""

    def dead_actors(self) -> tuple[str, ...]:
        """Name the actors that should run and do not."""

    def readiness(self) -> Readiness:
        """Ask every part of the replica for its state."""


class LivenessResource:
    """Tells whether the process does its work; where it does not, it should be restarted."""

    def __init__(self, gateway: ProbedGateway) -> None:
        self._gateway = gateway

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 200 while all actors live, else 503."""
        dead = self._gateway.dead_actors()
        resp.status = HTTPStatus.SERVICE_UNAVAILABLE if dead else HTTPStatus.OK
        answer: LivenessAnswer = {"status": "failing" if dead else "ok", "deadActors": dead}
        write_body(req, resp, answer)


class ReadinessResource:
    """Tells whether this replica takes payments."""

    def __init__(self, gateway: ProbedGateway) -> None:
        self._gateway = gateway

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 200 where payments are accepted, also while a part is missing (`degraded`), else 503."""
        readiness = self._gateway.readiness()
        status = "degraded" if readiness.degraded else "ready" if readiness.ready else "unready"
        resp.status = HTTPStatus.OK if readiness.ready else HTTPStatus.SERVICE_UNAVAILABLE
        answer: ReadinessAnswer = {"status": status, "parts": dict(readiness.parts)}
        write_body(req, resp, answer)
