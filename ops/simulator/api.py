"""The processor's HTTP endpoints: who may call what, and how it is answered."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Protocol
from uuid import UUID

from msgspec import Meta, Struct

from ops.simulator.connection import Connection, Request
from ops.simulator.faults import DELAY_MS_MAX, Fault, Faults
from ops.simulator.processor import Processor
from ops.simulator.wire import (
    WireError,
    decode,
    decode_payment,
    decode_window,
    encode_audit,
    encode_faults,
    encode_message,
    encode_payment,
    encode_summary,
)

_ADMIN = "/admin/"
_PAYMENT = "/payments/"


class Door(Protocol):
    """The port on which payments come in."""

    def shut(self) -> None:
        """Refuse connections from now on, and close those that are open once what was answered is sent."""

    async def open(self) -> None:
        """Listen again; may be called while open.

        Raises:
            OSError: somebody else has taken the port.
        """


class _Token(Struct):
    token: str


class _Delay(Struct):
    delay: Annotated[int, Meta(ge=0, le=DELAY_MS_MAX)]


class _Failure(Struct):
    failure: bool


class Api:
    """Reads a request, has the processor do it, writes the answer."""

    def __init__(self, processor: Processor, door: Door, token: str) -> None:
        self._processor = processor
        self._door = door
        self._token = token.encode()
        # One change of the faults after the other: opening the door takes several turns of the loop.
        self._changing_faults = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._routes: dict[tuple[str, str], Callable[[Request, Connection], None]] = {
            ("POST", "/payments"): self._pay,
            ("GET", "/payments/service-health"): self._tell_health,
            ("GET", "/admin/payments-summary"): self._sum_up,
            ("GET", "/admin/payments"): self._list_payments,
            ("POST", "/admin/purge-payments"): self._purge,
            ("PUT", "/admin/configurations/token"): self._set_token,
            ("PUT", "/admin/configurations/delay"): self._set_delay,
            ("PUT", "/admin/configurations/failure"): self._set_failure,
            ("GET", "/admin/faults"): self._tell_faults,
            ("PUT", "/admin/faults"): self._set_faults,
        }
        self._paths = {path for _, path in self._routes}

    def handle(self, request: Request, client: Connection) -> None:
        """Serve any endpoint."""
        if request.path.startswith(_ADMIN) and request.headers.get(b"x-rinha-token") != self._token:
            client.answer(HTTPStatus.UNAUTHORIZED)
            return
        endpoint = self._routes.get((request.method, request.path))
        try:
            if endpoint:
                endpoint(request, client)
            elif request.path in self._paths:
                client.answer(HTTPStatus.METHOD_NOT_ALLOWED)
            elif request.method == "GET" and request.path.startswith(_PAYMENT):
                self._find(request.path.removeprefix(_PAYMENT), client)
            else:
                client.answer(HTTPStatus.NOT_FOUND)
        except WireError as error:
            client.answer(HTTPStatus.BAD_REQUEST, encode_message(str(error)))

    def handle_admin(self, request: Request, client: Connection) -> None:
        """Serve the administrative endpoints alone."""
        if request.path.startswith(_ADMIN):
            self.handle(request, client)
        else:
            client.answer(HTTPStatus.NOT_FOUND)

    def _pay(self, request: Request, client: Connection) -> None:
        self._processor.pay(decode_payment(request.body), client)

    def _tell_health(self, _request: Request, client: Connection) -> None:
        self._processor.tell_health(client)

    def _find(self, correlation_id: str, client: Connection) -> None:
        try:
            payment = self._processor.ledger.find(UUID(correlation_id))
        except ValueError:
            payment = None
        if payment:
            client.answer(HTTPStatus.OK, encode_payment(payment))
        else:
            client.answer(HTTPStatus.NOT_FOUND)

    def _sum_up(self, request: Request, client: Connection) -> None:
        summary = self._processor.ledger.summary(*decode_window(request.query))
        client.answer(HTTPStatus.OK, encode_summary(summary, self._processor.fee))

    def _list_payments(self, _request: Request, client: Connection) -> None:
        client.answer(HTTPStatus.OK, encode_audit(self._processor.ledger), "application/x-ndjson")

    def _purge(self, _request: Request, client: Connection) -> None:
        self._processor.purge()
        client.answer(HTTPStatus.OK, encode_message("payments purged"))

    def _set_token(self, request: Request, client: Connection) -> None:
        self._token = decode(request.body, _Token).token.encode()
        client.answer(HTTPStatus.NO_CONTENT)

    def _set_delay(self, request: Request, client: Connection) -> None:
        self._processor.delay_ms = decode(request.body, _Delay).delay
        client.answer(HTTPStatus.OK, encode_message("delay set"))

    def _set_failure(self, request: Request, client: Connection) -> None:
        self._processor.failing = decode(request.body, _Failure).failure
        client.answer(HTTPStatus.OK, encode_message("failure set"))

    def _tell_faults(self, _request: Request, client: Connection) -> None:
        client.answer(HTTPStatus.OK, encode_faults(self._processor.faults, self._processor.injected))

    def _set_faults(self, request: Request, client: Connection) -> None:
        task = asyncio.ensure_future(self._change_faults(decode(request.body, Faults), client))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _change_faults(self, faults: Faults, client: Connection) -> None:
        async with self._changing_faults:
            if not faults.refuse:
                try:
                    await self._door.open()
                except OSError as error:
                    client.answer(HTTPStatus.SERVICE_UNAVAILABLE, encode_message(f"can't listen again: {error}"))
                    return
            elif not self._processor.faults.refuse:
                self._processor.injected[Fault.REFUSE] += 1
                self._door.shut()
            self._processor.faults = faults
            client.answer(HTTPStatus.OK, encode_faults(faults, self._processor.injected))
