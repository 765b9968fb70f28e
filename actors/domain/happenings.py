"""Tells in words what happened to a replica, by comparing its state with the one of a second before."""

from collections.abc import Iterator
from dataclasses import dataclass

from actors.domain.replica_status import ReplicaStatus, SeenProcessor

GOOD, WARN, BAD = "good", "warn", "bad"
STORES = {
    "postgres": "Postgres",
    "records": "the records in Postgres",
    "redis": "Redis",
    "clock": "the clock",
    "journal": "the journal",
    "segments": "the journal's files",
}
"""The parts whose problems are reported, with their names in these lines."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of what happened."""

    at_ms: int
    """Wall clock of the replica, milliseconds since the epoch."""
    replica: str
    kind: str
    """`replica`, `breaker`, `order`, `store`, `clock`, `purge`, `adoption`, `payment` or `dispute`."""
    tone: str
    """`good`, `warn` or `bad`."""
    text: str


def happenings(before: ReplicaStatus | None, after: ReplicaStatus) -> list[Happening]:
    """Tell what has happened between two states of a replica.

    `before` is None where no earlier state is known; when the replica has started again, it is of the process before.
    """
    if before is None:
        told = [("replica", GOOD, f"replica {after.replica} started")]
    elif before.started_at_ms != after.started_at_ms:
        lasted_s = (after.at_ms - before.at_ms) / 1000
        told = [("replica", WARN, f"replica {after.replica} started again, {lasted_s:.1f} s after its last report")]
    else:
        told = [
            *_parts(before, after),
            *_counts(before, after),
            *(
                each
                for name, processor in after.processors.items()
                if name in before.processors
                for each in _processor(name, before.processors[name], processor, after.at_ms)
            ),
        ]
    return [Happening(after.at_ms, after.replica, *each) for each in told]


_Told = tuple[str, str, str]


def _parts(before: ReplicaStatus, after: ReplicaStatus) -> Iterator[_Told]:
    if before.readiness != "unready" and after.readiness == "unready":
        why = "; ".join(state for state in after.parts.values() if state != "ok") or "the reason is not known"
        yield "replica", BAD, f"replica {after.replica} takes no payments: {why}"
    if before.readiness == "unready" and after.readiness != "unready":
        yield "replica", GOOD, f"replica {after.replica} takes payments"
    if before.readiness == "unready":
        return  # Nothing was told of the parts of a replica that was still starting.
    for part, name in STORES.items():
        was_well, is_well = before.parts.get(part, "ok") == "ok", after.parts.get(part, "ok") == "ok"
        kind = "clock" if part == "clock" else "store"
        if was_well and not is_well:
            yield kind, BAD, f"{name} of replica {after.replica}: {after.parts[part]}"
        elif is_well and not was_well:
            yield kind, GOOD, f"{name} of replica {after.replica}: all is well again"


def _counts(before: ReplicaStatus, after: ReplicaStatus) -> Iterator[_Told]:
    if after.generation != before.generation:
        yield "purge", WARN, f"purged: replica {after.replica} holds nothing older than purge {after.generation}"
    if (adopted := after.adopted - before.adopted) > 0:
        whose = "from another replica, or from its own earlier run"
        yield "adoption", WARN, f"replica {after.replica} took over {_payments(adopted)} {whose}"
    if (disputes := after.disputes - before.disputes) > 0:
        yield "dispute", BAD, f"{_payments(disputes)} found charged more than once"
    if after.unresolved > before.unresolved:
        yield "payment", BAD, f"{_payments(after.unresolved)} of unknown outcome for over a minute"
    for state, count in after.closed.items():
        if (ended := count - before.closed.get(state, 0)) > 0:
            yield "payment", WARN, f"{_payments(ended)} ended {state}"


def _processor(name: str, before: SeenProcessor, after: SeenProcessor, now_ms: int) -> Iterator[_Told]:
    """Tell of operators' orders, and of the beginning and the end of an outage, without the probes in between."""
    if before.state == after.state:
        return
    if after.state.startswith("forced"):
        yield "order", WARN, f"an operator forces the breaker of {name} {after.state.removeprefix('forced-')}"
    elif before.state.startswith("forced"):
        yield "order", GOOD, f"the breaker of {name} decides by itself again"
    elif before.state == "closed":
        yield "breaker", BAD, f"the breaker of {name} opened" + (f": {after.cause}" if after.cause else "")
    elif after.state == "closed":
        lasted = "" if before.since_ms is None else f" after {(now_ms - before.since_ms) / 1000:.1f} s"
        yield "breaker", GOOD, f"the breaker of {name} closed{lasted}"


def _payments(count: int) -> str:
    return "1 payment" if count == 1 else f"{count} payments"
