"""Calls one payment processor over HTTP, by the contract of the event."""

import logging
from decimal import Decimal
from socket import gaierror
from uuid import UUID

import gevent
import msgspec
from geventhttpclient import HTTPClient
from geventhttpclient.header import Headers
from geventhttpclient.response import HTTPSocketPoolResponse

from actors.domain.instant import iso_from_ms, ms_from_iso
from actors.domain.money import decimal_amount
from actors.domain.outcome import Outcome, outcome_of_status
from actors.domain.payment import Payment
from actors.domain.records import LookUpAnswer

logger = logging.getLogger(__name__)

JSON_HEADERS = {"Content-Type": "application/json"}
ANSWER_BYTES_MAX = 64 * 1024


class _OneAnswer(Headers):
    """The headers of an answer. A second answer to one request is an error: its status would replace the first."""

    def clear(self) -> None:
        raise ValueError("a second answer to one request")


class _DeadlineError(Exception):
    """The deadline for a whole call has passed. Unlike `gevent.Timeout` this is an `Exception`, as any other error."""


class _Booked(msgspec.Struct):
    """A payment as a processor describes it."""

    correlationId: UUID  # noqa: N815  # the contract's name
    amount: Decimal
    requestedAt: str  # noqa: N815  # the contract's name


class HttpProcessorClient:
    """Fulfils `actors.ports.ProcessorClient`. Each call is sent once, and has one deadline for the whole of it."""

    def __init__(self, url: str, timeout_s: float, charges_max: int, look_ups_max: int) -> None:
        """`url` is the base address. `charges_max` and `look_ups_max` limit the connections for each kind of call."""
        self._timeout_s = timeout_s
        # Look-ups have their own connections, so that a charge never waits for a slow look-up.
        self._charges = self._client(url, charges_max)
        self._look_ups = self._client(url, look_ups_max)
        self._encoder = msgspec.json.Encoder(decimal_format="number")
        self._decoder = msgspec.json.Decoder(_Booked)

    def charge(self, payment: Payment, requested_at_ms: int) -> Outcome:
        body = self._encoder.encode(
            {
                "correlationId": payment.correlation_id,
                "amount": decimal_amount(payment.amount_cents),
                "requestedAt": iso_from_ms(requested_at_ms),
            }
        )
        try:
            status, _ = self._call(self._charges, "POST", "/payments", body)
        except (ConnectionRefusedError, gaierror):
            return Outcome.REFUSED
        except Exception as error:  # noqa: BLE001  # after any other error the payment may have arrived
            logger.debug("charge of %s: %r", payment.correlation_id, error)
            return Outcome.UNKNOWN
        return outcome_of_status(status)

    def look_up(self, payment: Payment) -> LookUpAnswer:
        correlation_id = payment.correlation_id
        try:
            status, body = self._call(self._look_ups, "GET", f"/payments/{correlation_id}", b"")
            if status == 404:  # noqa: PLR2004  # an HTTP status
                return LookUpAnswer(answered=True)
            if status != 200:  # noqa: PLR2004  # an HTTP status
                return LookUpAnswer(answered=False)
            booked = self._decoder.decode(body)
            requested_at_ms = ms_from_iso(booked.requestedAt)
        except Exception as error:  # noqa: BLE001  # after any error nothing is known
            logger.debug("look-up of %s: %r", correlation_id, error)
            return LookUpAnswer(answered=False)
        if (booked.correlationId, booked.amount) != (correlation_id, decimal_amount(payment.amount_cents)):
            logger.error("look-up of %s: the processor has booked %s", payment, booked)
            return LookUpAnswer(answered=False)
        return LookUpAnswer(answered=True, requested_at_ms=requested_at_ms)

    def close(self) -> None:
        """Close the idle connections."""
        self._charges.close()
        self._look_ups.close()

    def _client(self, url: str, connections_max: int) -> HTTPClient:
        # The library's timeouts apply to each receive, so a server that drips could hold a call for long. `_call` has a
        # deadline for the whole call.
        return HTTPClient.from_url(
            url,
            concurrency=connections_max,
            connection_timeout=self._timeout_s,
            network_timeout=self._timeout_s,
            headers_type=_OneAnswer,
        )

    def _call(self, client: HTTPClient, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        with gevent.Timeout(self._timeout_s, _DeadlineError(f"no answer within {self._timeout_s} s")):
            response = client.request(method, path, body=body, headers=JSON_HEADERS)
            try:
                return response.status_code, self._read(response)
            finally:
                response.release()

    @staticmethod
    def _read(response: HTTPSocketPoolResponse) -> bytes:
        data = bytes(response.read(ANSWER_BYTES_MAX + 1))
        if len(data) > ANSWER_BYTES_MAX:
            raise ValueError("the answer is too long")
        return data
