"""What the API can do, operation by operation."""

from typing import Any

from gateway.answers import (
    ID_EXAMPLE,
    ChargedTotals,
    OrderReached,
    PaymentHistory,
    ProcessorAnswer,
    ResolutionResult,
)
from gateway.events import SERVER_SENT
from gateway.media import JSON, MSGPACK
from gateway.openapi.model import Content, DescribedAnswer, Operation, both, negotiated
from gateway.openapi.parameters import (
    CORRELATION_ID,
    CURSOR,
    EVENTS_AFTER,
    EVENTS_LIMIT,
    EVENTS_WAIT,
    FROM,
    LAST_EVENT_ID,
    LIMIT,
    PROCESSOR,
    STATE,
    TO,
)
from gateway.payment_answer import PaymentAnswer, PaymentEvents, PaymentsPage
from gateway.payment_body import PaymentArray, PaymentBody
from gateway.problem_types import ProblemType
from gateway.processors import BreakerOrder
from gateway.resolutions import ResolutionOrder
from gateway.summary import AS_OF_HEADER, FINAL_HEADER

VARIES = ("Vary",)
IN_BODY = (ProblemType.INVALID_REQUEST, ProblemType.BODY_TOO_LARGE, ProblemType.UNSUPPORTED_MEDIA_TYPE)
"""What may be wrong with a body."""
FOR_OPERATORS = (ProblemType.TOKEN_REQUIRED, ProblemType.NOT_PERMITTED, ProblemType.FOREIGN_PAGE)

SUMMARY: dict[str, Any] = {
    "title": "Summary",
    "type": "object",
    "description": "Totals by the processor's name, in the default currency; `currencies` has the others, by code.",
    "properties": {"currencies": {"type": "object", "additionalProperties": {"type": "object"}}},
    "additionalProperties": ChargedTotals,
}
SUMMARY["properties"]["currencies"]["additionalProperties"]["additionalProperties"] = ChargedTotals
SUMMARY_EXAMPLE = {
    "default": {"totalRequests": 2, "totalAmount": 39.8},
    "fallback": {"totalRequests": 0, "totalAmount": 0},
}

PAYMENTS = (
    Operation(
        method="post",
        path="/payments",
        name="postPayment",
        tag="Payments",
        summary="Post a payment",
        description="Answers 202 once the payment is durable: it will be charged once. `correlationId` is the "
        "idempotency key: posting the same payment again is safe after any answer, and after none.",
        request=Content(
            types={JSON: PaymentBody, MSGPACK: {"anyOf": [PaymentBody, PaymentArray]}},
            example={"correlationId": ID_EXAMPLE, "amount": 19.9},
        ),
        answers=(
            DescribedAnswer(
                status=202,
                description="It is durable, or was accepted before with the same amount.",
                headers=("Location", "Durability"),
            ),
        ),
        problems=(*IN_BODY, ProblemType.ANOTHER_AMOUNT, ProblemType.UNAVAILABLE, ProblemType.IN_DOUBT),
    ),
    Operation(
        method="get",
        path="/payments",
        name="listPayments",
        tag="Payments",
        summary="List the payments in one state",
        description="Sorted by the instant of their acceptance (`settled` ones by `requestedAt`), the oldest first, "
        "from Postgres: a payment that waits in a journal alone is in no list.",
        parameters=(STATE, LIMIT, CURSOR),
        answers=(negotiated("A page.", PaymentsPage),),
        problems=(ProblemType.INVALID_REQUEST, ProblemType.UNAVAILABLE),
    ),
    Operation(
        method="get",
        path="/payments/events",
        name="listEvents",
        tag="Payments",
        summary="List which payments ended, or wait for the next one",
        description="Each end once, in an order in which nothing is ever added before a cursor that was given. With "
        "`Accept: text/event-stream` the same is streamed, as server-sent events whose `data` is one event.",
        parameters=(EVENTS_AFTER, EVENTS_LIMIT, EVENTS_WAIT, LAST_EVENT_ID),
        answers=(
            DescribedAnswer(
                status=200,
                description="Events that follow each other.",
                content=Content(types={JSON: PaymentEvents, MSGPACK: PaymentEvents, SERVER_SENT: {"type": "string"}}),
                headers=VARIES,
            ),
        ),
        problems=(ProblemType.INVALID_REQUEST, ProblemType.LOST_PLACE, ProblemType.ARCHIVED, ProblemType.UNAVAILABLE),
    ),
    Operation(
        method="get",
        path="/payments/{correlationId}",
        name="getPayment",
        tag="Payments",
        summary="Get the state of a payment",
        description="404 only if all replicas deny the id; if that is unknown, the answer is 503.",
        parameters=(CORRELATION_ID,),
        answers=(negotiated("The payment.", PaymentAnswer),),
        problems=(ProblemType.INVALID_REQUEST, ProblemType.UNKNOWN_PAYMENT, ProblemType.UNAVAILABLE),
    ),
    Operation(
        method="get",
        path="/payments/{correlationId}/history",
        name="getPaymentHistory",
        tag="Payments",
        summary="Get the history of a payment",
        description="Step by step, as far as replicas remember it, and what it waits for now.",
        parameters=(CORRELATION_ID,),
        answers=(negotiated("The history.", PaymentHistory),),
        problems=(ProblemType.INVALID_REQUEST, ProblemType.UNKNOWN_PAYMENT, ProblemType.UNAVAILABLE),
    ),
    Operation(
        method="post",
        path="/payments/{correlationId}/resolution",
        name="resolvePayment",
        tag="Payments",
        summary="Record what became of a payment that does not settle by itself",
        description="For operators, after a look into the processors' own books.",
        parameters=(CORRELATION_ID,),
        request=both(ResolutionOrder, {"chargedBy": None, "by": "an auditor"}),
        answers=(negotiated("The charge is recorded, or the payment is charged again.", ResolutionResult),),
        problems=(
            *IN_BODY,
            ProblemType.UNKNOWN_PAYMENT,
            ProblemType.ALREADY_SETTLED,
            ProblemType.MAY_SETTLE,
            ProblemType.UNAVAILABLE,
        ),
        is_for_operators=True,
    ),
    Operation(
        method="post",
        path="/purge-payments",
        name="purgePayments",
        tag="Payments",
        summary="Delete every payment",
        description="For operators, or for everybody with `ALLOW_PURGE=1`: 204 when every payment is deleted on all "
        "replicas. Charges under way are waited for, 5 s at most: a slower one may still be booked. No body is read.",
        answers=(DescribedAnswer(status=204, description="Every payment is deleted."),),
        problems=(ProblemType.UNAVAILABLE,),
        is_for_operators=True,
    ),
)

SUMMARIES = (
    Operation(
        method="get",
        path="/payments-summary",
        name="getSummary",
        tag="Summaries",
        summary="Add up what was charged within a window",
        description="Counts the charges whose `requestedAt` lies within the bounds. For a window that has ended it "
        "states what was booked when it was asked.",
        parameters=(FROM, TO),
        answers=(negotiated("The totals.", SUMMARY, example=SUMMARY_EXAMPLE, headers=(FINAL_HEADER, AS_OF_HEADER)),),
        problems=(ProblemType.INVALID_REQUEST, ProblemType.ARCHIVED, ProblemType.UNAVAILABLE),
    ),
)

PROCESSORS = (
    Operation(
        method="get",
        path="/processors",
        name="listProcessors",
        tag="Processors",
        summary="List what this replica knows of each processor",
        answers=(negotiated("By the processor's name.", {"type": "object", "additionalProperties": ProcessorAnswer}),),
        problems=(ProblemType.UNAVAILABLE,),
    ),
    Operation(
        method="put",
        path="/processors/{name}/breaker",
        name="forceBreaker",
        tag="Processors",
        summary="Force a breaker, or let it decide by itself",
        description="For operators. Reaches all replicas through Redis within half a second.",
        parameters=(PROCESSOR,),
        request=both(BreakerOrder, {"state": "forced-open"}),
        answers=(negotiated("How many replicas apply it.", OrderReached),),
        problems=(*IN_BODY, ProblemType.UNKNOWN_PROCESSOR, ProblemType.UNAVAILABLE),
        is_for_operators=True,
    ),
)
