"""The longer texts of the description of the API."""

INTRODUCTION = """\
A payment gateway that never loses a payment and never charges one twice.

Bodies are JSON or MessagePack: `Content-Type` says what is sent, `Accept` what is wanted. `HEAD` is answered wherever
`GET` is, and `OPTIONS` on every path: 204 with `Allow`, as 405 has it.

Errors are problem details (RFC 9457). Their `type` is a reference that never changes and leads to a description; all
kinds are listed under [/problems](/problems).

## Idempotency

**The key is the payment's own `correlationId`**, in the body: make a new UUID for each payment, and post the same again
whenever an answer is missing. There is no `Idempotency-Key` header.

* **The same again**: the same id with the same amount and currency is answered 202 as the first time, whatever has
  become of the payment meanwhile, and charges nothing a second time. Other members of the body are not compared.
* **While the first is in progress**: the second waits for the same write to the disk, and is answered 202 with it. It
  need not wait for the charge, which comes later.
* **Another body**: another amount or currency under a known id is answered 409 (`another-amount`), and never charged.
  Where a replica cannot know the id yet (it was accepted elsewhere in the same half second, or so long ago that it has
  left the memory of `RECENT_MAX` ids), the answer is 202: the amount that was first counts, and the other one stands in
  `refusedAmounts` of the payment.
* **After an error**: a 4xx keeps nothing, so that the id stays free for the corrected payment. A 5xx, or no answer at
  all, may have kept the payment: post the same again until the answer is 202 or 4xx.
* **How long it is remembered**: as long as the payment is, in the journal and then in Postgres. Nothing expires; only a
  purge forgets ids.

## Operators

Resolutions, forced breakers and purges are for operators: `Authorization: Bearer` with the gateway's `ADMIN_TOKEN`.
Settings may allow them without it, resolutions and breakers from the replica's own machine alone.
"""

TAGS = {
    "Payments": "Post payments, and ask what became of them.",
    "Summaries": "What was charged where.",
    "Processors": "The payment processors, and their circuit breakers.",
    "Operations": "Health, metrics and the state of all replicas.",
    "Pages": "Pages for people, and what describes the API.",
}
