"""Tells what happened to one suspicious payment, from all records of it, in the order of the instants. It is pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from ops.chaostest.history import EPOCH
from ops.chaostest.suspects import Records
from ops.chaostest.workload import DECIMALS


@dataclass(frozen=True, slots=True)
class StoryStep:
    """One event in the history of a payment, or something that is known of it at the end."""

    at_ms: float | None
    """The instant in milliseconds since the epoch; None for what is known at the end."""
    who: str
    what: str


@dataclass(frozen=True, slots=True)
class SuspectStory:
    """All that is known of one suspicious payment."""

    correlation_id: UUID
    kinds: list[str]
    """The promises that were broken for it."""
    steps: list[StoryStep]
    records: str
    """The records themselves, as JSON."""


def steps_of(records: Records) -> list[StoryStep]:
    """List what happened in the order of the instants, as each clock had them; then what is known at the end."""
    steps = [*_clients(records), *_processors(records), *_postgres(records), *_gateway(records)]
    return sorted(steps, key=lambda step: (step.at_ms is None, step.at_ms or 0.0))


def _clients(records: Records) -> Iterator[StoryStep]:
    for offer in records["offers"]:
        for each in offer.attempts:
            amount = _money(each.amount.minor, each.amount.code)
            yield StoryStep(each.at_ms, "client", f"posts {amount} as {offer.body_format.value} to {each.url}")
            answer = "no answer" if each.status is None else f"answer {each.status}"
            yield StoryStep(each.answered_at_ms, "client", ": ".join(filter(None, (answer, each.error))))
    for each in records["rivals"]:
        told = f"{_money(each.amount.minor, each.amount.code)} posted at rest to {each.url}: {each.status}"
        if not each.is_right:
            yield StoryStep(None, "client", f"{told}, and it has to be {each.expected}")


def _processors(records: Records) -> Iterator[StoryStep]:
    for name, what in (("charges", "books"), ("foreign", "holds another's charge of")):
        for each in records[name]:
            told = f"{what} {_money(each.amount_minor, each.currency)}, requestedAt {_iso(each.requested_at_us)}"
            silent = "" if each.answered else ", without an answer"
            yield StoryStep(each.booked_at_ms or each.requested_at_us / 1000, each.processor, told + silent)
    for each in records["asked"]:
        fault = f"; its id brought the fault {each['fault']}" if each["fault"] else ""
        yield StoryStep(None, each["processor"], f"was asked for it{fault}")


def _postgres(records: Records) -> Iterator[StoryStep]:
    for name, became in (("payment", "accepted"), ("conflict", "refused")):
        for each in records[name]:
            amount = _money(each.amount_minor, each.currency)
            yield StoryStep(each.accepted_at_ms, "Postgres", f"{name}: {amount} {became}")
    for each in records["settlement"]:
        told = f"settlement: {_money(each.amount_minor, each.currency)} by {each.processor}, attempts: {each.attempts}"
        yield StoryStep(each.requested_at_ms, "Postgres", told)
    for each in records["dispute"]:
        yield StoryStep(each.requested_at_ms, "Postgres", f"dispute: a second charge by {each.processor}")
    for each in records["closed"]:
        yield StoryStep(each.closed_at_ms, "Postgres", f"closed: {each.state}, as {each.processor} answered")
    for each in records["claim"]:
        where = each.processor or "no processor yet"
        yield StoryStep(None, "Postgres", f"claim of {each.owner}: {where}, attempts: {each.attempts}")


def _gateway(records: Records) -> Iterator[StoryStep]:
    for history in records["history"]:
        if not isinstance(history, dict):
            yield StoryStep(None, "gateway", f"tells no history: {history}")
            continue
        for step in history.get("steps", ()):
            who = f"replica {step['replica']}" if step.get("replica") else "gateway"
            at_ms = datetime.fromisoformat(step["at"]).timestamp() * 1000 if step["at"] else None
            yield StoryStep(at_ms, who, ", ".join(filter(None, (step["what"], step.get("processor")))))
        if history.get("waitsFor"):
            yield StoryStep(None, "gateway", str(history["waitsFor"]))
    if records["told"]:
        yield StoryStep(None, "gateway", f"replicas tell its state as {', '.join(records['told'])}")


def _money(minor: int, code: str) -> str:
    decimals = DECIMALS.get(code, 2)
    return f"{minor / 10**decimals:.{decimals}f} {code}"


def _iso(at_us: int) -> str:
    return (EPOCH + timedelta(microseconds=at_us)).isoformat(timespec="microseconds")
