"""Calls one payment processor over HTTP, by the contract of the event."""

import time
from collections.abc import Callable
from decimal import Decimal
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from actors.adapters.health_probe import HealthEndpoint
from actors.adapters.host_addresses import HostDirectory
from actors.adapters.http_connection import UnsentError
from actors.adapters.http_pool import HttpPool, host_of_url
from actors.domain.instant import ms_from_iso
from actors.domain.money import BRL
from actors.domain.outcome import Outcome, outcome_of_answer
from actors.domain.payment import Payment, to_processor
from actors.domain.records import LookUpAnswer, LookUpResult
from actors.logs import get_logger
from actors.outages import OutageReporter

logger = get_logger(__name__)

KNOCK_S_MAX = 1.0
"""How long a processor that was down has for accepting a connection."""
SPARE_CHARGES = 8
"""Connections beyond those that a limit of charges allows. While as many hang as may be under way, probes find out with
these whether the processor works again, and the first charges after that do not wait for the hanging ones."""
_NO_ANSWER = LookUpAnswer(LookUpResult.NO_ANSWER)


def _no_fields() -> str:
    return ""


class _Booked(msgspec.Struct):
    """A payment as a processor describes it."""

    correlationId: UUID  # noqa: N815  # the contract's name
    amount: Decimal
    requestedAt: str  # noqa: N815  # the contract's name
    currency: str | None = None
    """None stands for the default currency, in which the event's processors book everything."""


class HttpProcessorClient:
    """Fulfils `actors.ports.ProcessorClient`. Each call is sent once, and has one deadline for the whole of it."""

    def __init__(
        self,
        url: str,
        hosts: HostDirectory,
        timeout_s: float,
        charges_max: int,
        look_ups_max: int,
        default_currency: str = BRL,
    ) -> None:
        """Make no connection yet.

        `url` is the base address. `charges_max` and `look_ups_max` limit the connections for each kind of call. The
        processor is told of every currency but the default one.
        """
        parts = urlsplit(url)
        addresses = host_of_url(hosts, url)
        # Look-ups have their own connections, so that a charge never waits for a slow look-up.
        self._charges = HttpPool(addresses, timeout_s, charges_max)
        self._look_ups = HttpPool(addresses, timeout_s, look_ups_max)
        self._health = HealthEndpoint(url, hosts)
        self._charge_head = (
            f"POST /payments HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\nContent-Length: "
        )
        self._look_up_end = f" HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        self.more_fields: Callable[[], str] = _no_fields
        """Makes further fields of the heads of charges and look-ups, each with the end of its line."""
        self._default_currency = default_currency
        event = "a processor tells of another payment than the one that it was asked for"
        self._mismatches = OutageReporter(logger, event, time.monotonic, "error", host=parts.netloc)
        self._decoder = msgspec.json.Decoder(_Booked)

    def charge(self, payment: Payment, requested_at_ms: int) -> Outcome:
        body = to_processor(payment, requested_at_ms, self._default_currency)
        try:
            status, answered = self._charges.call(
                f"{self._charge_head}{len(body)}\r\n{self.more_fields()}\r\n{body}".encode()
            )
        except UnsentError:
            return Outcome.REFUSED
        except Exception as error:  # noqa: BLE001  # after any other error the payment may have arrived
            logger.debug("a charge has no answer", correlation_id=payment.correlation_id, reason=repr(error))
            return Outcome.UNKNOWN
        return outcome_of_answer(status, answered)

    def knock(self) -> bool:
        try:
            self._charges.open_one(KNOCK_S_MAX)
        except UnsentError:
            return False
        return True

    def look_up(self, payment: Payment) -> LookUpAnswer:
        correlation_id = payment.correlation_id
        try:
            status, body = self._look_ups.call(
                f"GET /payments/{correlation_id}{self._look_up_end}{self.more_fields()}\r\n".encode()
            )
            # The processor's own answer has no body, or tells in JSON what is missing. A page that says "not found"
            # comes from something in front of it, which knows nothing of payments.
            if status == 404 and body[:1] in {b"", b"{"}:  # noqa: PLR2004  # an HTTP status
                return LookUpAnswer(LookUpResult.MISSING)
            if status != 200:  # noqa: PLR2004  # an HTTP status
                return _NO_ANSWER
            booked = self._decoder.decode(body)
            requested_at_ms = ms_from_iso(booked.requestedAt)
        except Exception as error:  # noqa: BLE001  # after any error nothing is known
            logger.debug("a look-up has no answer", correlation_id=correlation_id, reason=repr(error))
            return _NO_ANSWER
        if booked.correlationId != correlation_id:
            self._mismatches.occurred(correlation_id=correlation_id, answered=str(booked))
            return _NO_ANSWER
        if (booked.amount, booked.currency or self._default_currency) != (payment.money.decimal, payment.currency):
            self._mismatches.occurred(correlation_id=correlation_id, answered=str(booked))
            return LookUpAnswer(LookUpResult.MISMATCHED)
        return LookUpAnswer(LookUpResult.CHARGED, requested_at_ms)

    def answers_health(self) -> bool:
        try:
            return self._health.ask() is not None
        except Exception as error:  # noqa: BLE001  # whatever went wrong, there is no usable answer
            logger.debug("the processor does not report its health", reason=repr(error))
            return False

    def close(self) -> None:
        """Close the idle connections."""
        self._health.pool.close()
        self._charges.close()
        self._look_ups.close()
