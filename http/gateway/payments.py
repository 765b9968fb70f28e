"""`POST /payments` and `GET /payments/{correlationId}`."""

from collections import Counter
from typing import Protocol
from uuid import UUID

import falcon
import msgspec

from actors.domain.payment import Payment
from actors.domain.processors import ALL_CURRENCIES, PostedCurrencies
from actors.errors import GatewayUnavailableError
from actors.messages.intake import AcceptAnswer
from actors.queries import PaymentStatus
from gateway.media import write_body
from gateway.payment_answer import PaymentsPage, describe_payment
from gateway.payment_body import read_payment
from gateway.payment_list import PaymentLister, cursor_of, read_page
from gateway.problem_types import ProblemType
from gateway.problems import InvalidFieldError, ProblemError, in_doubt, unavailable
from gateway.sampled_histogram import SampledHistogram

REFUSED = "refused"
UNAVAILABLE = "unavailable"
ACCEPTED = "accepted"
JOURNALLED = "journalled"
DURABILITY_HEADER = "durability"
"""The field of a 202 that tells what the payment survives, if clients wait for rows in Postgres."""
LEDGER, JOURNAL = "ledger", "fsync"
"""The values of that field, which are those of the setting."""
_KINDS = {answer: answer.name.lower() for answer in AcceptAnswer}
ANSWER_KINDS = (*_KINDS.values(), REFUSED, UNAVAILABLE)
"""The kinds by which the answers to `POST /payments` are counted."""


class PaymentGateway(Protocol):
    """What posting a payment needs of the gateway."""

    def now_ms(self) -> int:
        """Give the wall clock in milliseconds since the epoch."""

    def accept(self, payment: Payment) -> AcceptAnswer:
        """Make a payment durable, and tell what became of it."""


class PaymentLookUp(Protocol):
    """What the question for one payment needs of the gateway's queries."""

    def payment(self, correlation_id: UUID) -> PaymentStatus | None:
        """Tell how far a payment is; None where nobody has accepted it."""


class PaymentsResource:
    """Accepts payments, and lists them."""

    def __init__(
        self,
        gateway: PaymentGateway,
        queries: PaymentLister,
        answers: Counter[str],
        acceptance: SampledHistogram,
        currencies: PostedCurrencies = ALL_CURRENCIES,
        *,
        awaits_rows: bool = False,
    ) -> None:
        """Count each answer to a post in `answers`, by one of `ANSWER_KINDS`.

        `acceptance` samples how long it takes until a payment that was read is durable or turned away. Where the
        gateway `awaits_rows`, each 202 tells in which way the payment is durable.
        """
        self._gateway = gateway
        self._queries = queries
        self._answers = answers
        self._acceptance = acceptance
        self._currencies = currencies
        self._awaits_rows = awaits_rows

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer the payments in one state, the oldest first, and where the next page begins."""
        state, after, limit = read_page(req)
        # One more than is asked for tells whether there is a next page.
        found = self._queries.payments(state, after, limit + 1)
        page = [describe_payment(status) for status in found[:limit]]
        last = found[limit - 1].record if len(found) > limit else None
        answer: PaymentsPage = {"payments": page, "next": cursor_of(last.position) if last else None}
        write_body(req, resp, answer)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 202 once the payment is durable."""
        try:
            payment = read_payment(req, self._currencies, self._gateway.now_ms)
        except falcon.HTTPError:
            self._answers[REFUSED] += 1
            raise
        try:
            sample = self._acceptance.begin()
            answer = self._gateway.accept(payment)
        except GatewayUnavailableError:
            self._answers[UNAVAILABLE] += 1
            raise
        if sample:
            self._acceptance.end(sample)
        # To hash an enum's member runs Python code, which the usual answer does without.
        self._answers[ACCEPTED if answer is AcceptAnswer.ACCEPTED else _KINDS[answer]] += 1
        match answer:
            case AcceptAnswer.ACCEPTED | AcceptAnswer.REPEATED | AcceptAnswer.JOURNALLED:
                if self._awaits_rows:
                    resp.set_header(DURABILITY_HEADER, JOURNAL if answer is AcceptAnswer.JOURNALLED else LEDGER)
                resp.status = falcon.HTTP_202
                # msgspec writes an id several times faster than `str`.
                resp.set_header("location", f"/payments/{msgspec.to_builtins(payment.correlation_id)}")
            case _:
                raise _refusal(payment.correlation_id, answer)


def _refusal(correlation_id: UUID, answer: AcceptAnswer) -> ProblemError:
    """Make the answer to a payment that was not accepted."""
    match answer:
        case AcceptAnswer.CONFLICT | AcceptAnswer.UNCONFIRMED:
            detail = f"{correlation_id} was accepted with another amount or currency before"
            return ProblemError(ProblemType.ANOTHER_AMOUNT, detail)
        case AcceptAnswer.IN_DOUBT:
            return in_doubt("Postgres did not confirm the payment in time: it may be kept, and then is charged once")
        case AcceptAnswer.CONTESTED:
            return unavailable("other amounts were accepted under this id, and it is not known which one was first")
        case AcceptAnswer.OVERLOADED:
            return unavailable("too many payments are waiting")
        case AcceptAnswer.LEDGER_UNAVAILABLE:
            return unavailable("Postgres does not answer")
        case _:
            return unavailable("the payment could not be made durable")


class PaymentResource:
    """Tells how far one payment is."""

    def __init__(self, queries: PaymentLookUp) -> None:
        self._queries = queries

    def on_get(self, req: falcon.Request, resp: falcon.Response, correlation_id: str) -> None:
        """Answer the payment's state, processor, instants and attempts."""
        write_body(req, resp, describe_payment(find_payment(self._queries, correlation_id)))


def find_payment(queries: PaymentLookUp, correlation_id: str) -> PaymentStatus:
    """Find the payment of an id as it stands in a path.

    Raises:
        InvalidFieldError: the id is no UUID.
        ProblemError: nobody has accepted a payment under it.
    """
    try:
        # `UUID()` would take forms that a posted payment may not have.
        parsed = msgspec.convert(correlation_id, UUID)
    except msgspec.ValidationError:
        raise InvalidFieldError("correlationId", "must be a UUID") from None
    status = queries.payment(parsed)
    if status is None:
        raise ProblemError(ProblemType.UNKNOWN_PAYMENT, f"no payment was accepted under {parsed}")
    return status
