"""The HTTP endpoints of a processor: who may call them, and how they answer."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from http import HTTPStatus
from typing import Annotated, Protocol
from uuid import UUID

from msgspec import Meta, Struct

from ops.simulator.connection import ClientConnection, Request
from ops.simulator.faults import DELAY_MS_MAX, Fault, Faults
from ops.simulator.processor import PaymentProcessor
from ops.simulator.wire import (
    WireError,
    decode,
    decode_payment,
    decode_window,
    encode_charges,
    encode_configurations,
    encode_faults,
    encode_message,
    encode_payment,
    encode_requests,
    encode_summaries,
)

_ADMIN = "/admin/"
_PAYMENT = "/payments/"


class PaymentPort(Protocol):
    """The port on which a processor takes payments."""

    def shut(self) -> None:
        """Refuse new connections, and close open ones when the answers that were given have been sent."""

    async def open(self) -> None:
        """Listen again; does nothing while the port is open.

        Raises:
            OSError: another program has taken the port meanwhile.
        """


class _Token(Struct):
    token: str


class _Delay(Struct):
    delay: Annotated[int, Meta(ge=0, le=DELAY_MS_MAX)]


class _Failure(Struct):
    failure: bool


class _Fee(Struct):
    fee: Annotated[float, Meta(ge=0, le=1)]


class Api:
    """Parses requests, passes them to the processor and encodes its answers."""

    def __init__(self, processor: PaymentProcessor, payment_port: PaymentPort, token: str) -> None:
        self._processor = processor
        self._payment_port = payment_port
        self._token = token.encode()
        # Changes of the faults are made one at a time, because opening the port takes several turns of the loop.
        self._changing_faults = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._routes: dict[tuple[str, str], Callable[[Request, ClientConnection], None]] = {
            ("POST", "/payments"): self._pay,
            ("GET", "/payments/service-health"): self._answer_health,
            ("GET", "/admin/payments-summary"): self._sum_up,
            ("GET", "/admin/payments"): self._list_payments,
            ("GET", "/admin/requests"): self._list_requests,
            ("POST", "/admin/purge-payments"): self._purge,
            ("GET", "/admin/configurations"): self._answer_configurations,
            ("PUT", "/admin/configurations/token"): self._set_token,
            ("PUT", "/admin/configurations/delay"): self._set_delay,
            ("PUT", "/admin/configurations/failure"): self._set_failure,
            ("PUT", "/admin/configurations/fee"): self._set_fee,
            ("GET", "/admin/faults"): self._answer_faults,
            ("PUT", "/admin/faults"): self._set_faults,
        }
        self._paths = {path for _, path in self._routes}

    def handle(self, request: Request, client: ClientConnection) -> None:
        """Answer a request to any endpoint."""
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

    def handle_admin(self, request: Request, client: ClientConnection) -> None:
        """Answer a request to an administrative endpoint, and any other one with 404."""
        if request.path.startswith(_ADMIN):
            self.handle(request, client)
        else:
            client.answer(HTTPStatus.NOT_FOUND)

    def _pay(self, request: Request, client: ClientConnection) -> None:
        self._processor.pay(decode_payment(request.body), client)

    def _answer_health(self, _request: Request, client: ClientConnection) -> None:
        self._processor.answer_health(client)

    def _find(self, correlation_id: str, client: ClientConnection) -> None:
        try:
            payment = self._processor.ledger.find(UUID(correlation_id))
        except ValueError:
            payment = None
        if payment:
            client.answer(HTTPStatus.OK, encode_payment(payment))
        else:
            client.answer(HTTPStatus.NOT_FOUND)

    def _sum_up(self, request: Request, client: ClientConnection) -> None:
        summaries = self._processor.ledger.summaries(*decode_window(request.query))
        client.answer(HTTPStatus.OK, encode_summaries(summaries, self._processor.fee))

    def _list_payments(self, _request: Request, client: ClientConnection) -> None:
        client.answer(HTTPStatus.OK, encode_charges(self._processor.ledger), "application/x-ndjson")

    def _list_requests(self, _request: Request, client: ClientConnection) -> None:
        client.answer(HTTPStatus.OK, encode_requests(self._processor.asked), "application/x-ndjson")

    def _purge(self, _request: Request, client: ClientConnection) -> None:
        self._processor.purge()
        client.answer(HTTPStatus.OK, encode_message("payments purged"))

    def _answer_configurations(self, _request: Request, client: ClientConnection) -> None:
        processor = self._processor
        body = encode_configurations(processor.delay_ms, processor.fee, failing=processor.failing)
        client.answer(HTTPStatus.OK, body)

    def _set_token(self, request: Request, client: ClientConnection) -> None:
        self._token = decode(request.body, _Token).token.encode()
        client.answer(HTTPStatus.NO_CONTENT)

    def _set_delay(self, request: Request, client: ClientConnection) -> None:
        self._processor.delay_ms = decode(request.body, _Delay).delay
        client.answer(HTTPStatus.OK, encode_message("delay set"))

    def _set_failure(self, request: Request, client: ClientConnection) -> None:
        self._processor.failing = decode(request.body, _Failure).failure
        client.answer(HTTPStatus.OK, encode_message("failure set"))

    def _set_fee(self, request: Request, client: ClientConnection) -> None:
        self._processor.fee = Decimal(repr(decode(request.body, _Fee).fee))
        client.answer(HTTPStatus.OK, encode_message("fee set"))

    def _answer_faults(self, _request: Request, client: ClientConnection) -> None:
        client.answer(HTTPStatus.OK, encode_faults(self._processor.faults, self._processor.injected))

    def _set_faults(self, request: Request, client: ClientConnection) -> None:
        task = asyncio.ensure_future(self._change_faults(decode(request.body, Faults), client))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _change_faults(self, faults: Faults, client: ClientConnection) -> None:
        async with self._changing_faults:
            if not faults.refuse:
                try:
                    await self._payment_port.open()
                except OSError as error:
                    client.answer(HTTPStatus.SERVICE_UNAVAILABLE, encode_message(f"cannot listen again: {error}"))
                    return
            elif not self._processor.faults.refuse:
                self._processor.injected[Fault.REFUSE] += 1
                self._payment_port.shut()
            self._processor.faults = faults
            client.answer(HTTPStatus.OK, encode_faults(faults, self._processor.injected))
