"""The HTTP side of the controls: a Falcon application that the live page talks to."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, TypeVar
from urllib.parse import quote

import falcon
import msgspec

from gateway.media import JSON, write_body
from gateway.payment_body import read_body
from gateway.problems import InvalidFieldError, serialize, unavailable
from gateway.repeated_keys import refuse_repeated_keys
from ops.controls.load import RATE_MAX, PaymentLoad
from ops.controls.local_server import LocalServer, ServerAwayError
from ops.controls.origins import OwnPages
from ops.controls.simulated_processor import ProcessorChange, ProcessorRefusedError, SimulatedProcessor
from ops.controls.stack_link import StackAwayError, StackLink

Order = TypeVar("Order")


class _Rate(msgspec.Struct, forbid_unknown_fields=True):
    rate: Annotated[int, msgspec.Meta(ge=0, le=RATE_MAX)]


@dataclass(frozen=True, slots=True)
class Controls:
    """The processors, the load and the replicas that can be controlled."""

    load: PaymentLoad
    processors: Mapping[str, SimulatedProcessor]
    """The simulated processors by name; none where the gateway uses others."""
    breakers: Collection[str]
    """The names of all processors."""
    gateway: LocalServer
    """The port that all replicas share."""
    link: StackLink

    def state(self) -> dict[str, Any]:
        """Tell the state of everything that can be changed."""
        load = self.load
        return {
            "load": {"rate": load.rate, "sent": load.sent, "accepted": load.accepted, "failed": load.failed},
            "processors": {
                name: msgspec.to_builtins(processor.condition()) for name, processor in self.processors.items()
            },
            "replicas": self.link.states,
            "breakers": list(self.breakers),
        }


def create_controls_app(
    controls: Controls, origins: Collection[str], hosts: Collection[str]
) -> falcon.App[falcon.Request, falcon.Response]:
    """Build the WSGI application; `origins` and `hosts` are those of `OwnPages`."""
    app = falcon.App()
    app.add_middleware(OwnPages(origins, hosts))
    app.add_middleware(falcon.CORSMiddleware(allow_origins=origins))
    app.set_error_serializer(serialize)
    for error in (ServerAwayError, ProcessorRefusedError, StackAwayError):
        app.add_error_handler(error, _tell_unavailable)
    app.add_route("/", StateResource(controls))
    app.add_route("/load", LoadResource(controls))
    app.add_route("/processors/{name}", ProcessorChangeResource(controls))
    app.add_route("/replicas/{name}/kill", KillResource(controls))
    app.add_route("/breakers/{name}", ForcedBreakerResource(controls))
    return app


class StateResource:
    """Answers the state of everything that can be changed."""

    def __init__(self, controls: Controls) -> None:
        self._controls = controls

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer the state, as changes do too; the load goes on as long as a viewer asks."""
        self._controls.load.note_viewer()
        write_body(req, resp, self._controls.state())


class LoadResource:
    """Changes the load."""

    def __init__(self, controls: Controls) -> None:
        self._controls = controls

    def on_put(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Offer the given number of payments a second from now on."""
        self._controls.load.set_rate(_read(req, _Rate).rate)
        write_body(req, resp, self._controls.state())


class ProcessorChangeResource:
    """Disturbs a simulated processor, or lets it work again."""

    def __init__(self, controls: Controls) -> None:
        self._controls = controls

    def on_put(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Pull a processor's plug or put it back, delay it, let a share of its charges fail."""
        if name not in self._controls.processors:
            raise _unknown(f"simulated processor {name}")
        self._controls.processors[name].change(_read(req, ProcessorChange))
        write_body(req, resp, self._controls.state())


class KillResource:
    """Kills a replica."""

    def __init__(self, controls: Controls) -> None:
        self._controls = controls

    def on_post(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """End the processes of a replica at once (SIGKILL), and answer when they are gone; `ops/up` starts it again."""
        if name not in self._controls.link.states:
            raise _unknown(f"replica {name}")
        self._controls.link.kill(name)
        write_body(req, resp, self._controls.state())


class ForcedBreakerResource:
    """Forces a processor's breaker."""

    def __init__(self, controls: Controls) -> None:
        self._controls = controls

    def on_put(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Pass the order on to the gateway, whose answer is passed back."""
        if name not in self._controls.breakers:
            raise _unknown(f"processor {name}")
        answer = self._controls.gateway.ask("PUT", f"/processors/{quote(name)}/breaker", read_body(req))
        resp.status = answer.status
        resp.data = answer.body
        resp.content_type = JSON if answer.status < HTTPStatus.BAD_REQUEST else "application/problem+json"


def _read(req: falcon.Request, kind: type[Order]) -> Order:
    body = read_body(req)
    try:
        order = msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        reason, _, place = str(error).partition(" - at `$.")
        raise InvalidFieldError(place.rstrip("`") or "body", reason.replace("`", "'")) from error
    refuse_repeated_keys(body, is_msgpack=False)
    return order


def _unknown(what: str) -> falcon.HTTPNotFound:
    return falcon.HTTPNotFound(title="Unknown name", description=f"there is no {what}")


def _tell_unavailable(_req: falcon.Request, _resp: falcon.Response, error: Exception, _params: dict[str, Any]) -> None:
    raise unavailable(str(error)) from error
