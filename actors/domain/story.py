"""Describes the state of the gateway in one line, the worst first."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from actors.domain.happenings import BAD, GOOD, WARN
from actors.domain.replica_status import HeardStatus, ReplicaStatus

CLAUSES_MAX = 2
TOLD_PARTS = frozenset({"postgres", "redis", "clock", "payments"})
"""Parts of replicas whose problems have clauses of their own."""
FOR_A_PROCESSOR = ("held", "journalled", "pausing")
"""The states of payments that wait until a processor takes them."""
FEW_PER_REPLICA = 1000
"""Up to this many waiting payments for each replica are not mentioned."""


@dataclass(frozen=True, slots=True)
class Story:
    """One line, and how serious it is."""

    tone: str
    """`good`, `warn` or `bad`: that of the worst clause."""
    text: str


def tell(heard: Sequence[HeardStatus], settled_per_s: float | None) -> Story:
    """Describe the state of all replicas together; `settled_per_s` is None where that is not known."""
    living = [each.status for each in heard if not each.is_silent]
    if not living:
        return Story(BAD, "no replica has reported lately")
    clauses = sorted(_clauses(heard, living), key=lambda clause: clause[0] != BAD)
    if not clauses:
        return Story(GOOD, _calm(living, settled_per_s))
    return Story(clauses[0][0], "; ".join(text for _, text in clauses[:CLAUSES_MAX]))


_Clause = tuple[str, str]


def _clauses(heard: Sequence[HeardStatus], living: Sequence[ReplicaStatus]) -> Iterator[_Clause]:
    yield from _payments_in_doubt(living)
    yield from _stores(living)
    outages = list(_processors(living))
    yield from outages
    yield from _replicas(heard)
    yield from _parts(living)
    if not outages:
        yield from _waiting(living)


def _payments_in_doubt(living: Sequence[ReplicaStatus]) -> Iterator[_Clause]:
    if disputes := sum(each.disputes for each in living):
        yield BAD, f"{_payments(disputes)} charged more than once: see the table dispute"
    if unresolved := sum(each.unresolved for each in living):
        yield BAD, f"{_payments(unresolved)} in doubt: no processor says whether it charged {_them(unresolved)}"
    if stranded := sum(each.waiting.get("stranded", 0) for each in living):
        yield BAD, f"{_payments(stranded)} stranded: an operator has to say what became of {_them(stranded)}"


def _stores(living: Sequence[ReplicaStatus]) -> Iterator[_Clause]:
    for part, what in (
        ("postgres", "Postgres is away: payments are accepted, and charged when it is back"),
        ("redis", "Redis is away: each replica relies on what it sees itself"),
        ("clock", "a clock is wrong"),
    ):
        without = [each.replica for each in living if each.parts.get(part, "ok") != "ok"]
        if without:
            where = "" if len(without) == len(living) else f" (for {_names(without)})"
            yield BAD if part == "postgres" else WARN, what + where


def _processors(living: Sequence[ReplicaStatus]) -> Iterator[_Clause]:
    names = list(dict.fromkeys(name for each in living for name, seen in each.processors.items() if seen.charges))
    down = [name for name in names if _is_down(living, name)]
    works = [name for name in names if name not in down]
    if down and not works:
        # No processor has worked since the last of them failed.
        lasted_s = [each_s for name in down if (each_s := _lasted_s(living, name)) is not None]
        since = f" for {min(lasted_s):.1f} s" if lasted_s else ""
        yield BAD, f"no processor works{since}: {_wait(_held(living))} for one"
        return
    for name in down:
        yield WARN, _outage(living, name, works)
    for name in works:
        # A few replicas find it down, and payments wait there.
        finders = [each for each in living if (seen := each.processors.get(name)) is not None and seen.is_down]
        if finders and (waiting := _held(finders)):
            yield WARN, f"{name} is down for {_names([each.replica for each in finders])}: {_wait(waiting)} there"


def _outage(living: Sequence[ReplicaStatus], name: str, works: Sequence[str]) -> str:
    forced = any(each.processors[name].state == "forced-open" for each in living if name in each.processors)
    lasted_s = _lasted_s(living, name)
    since = "" if lasted_s is None else f" for {lasted_s:.1f} s"
    what = f"{name} is held open by an operator" if forced else f"{name} is down{since}"
    waiting = _held(living)
    # A replica that has only just begun counts its patience anew.
    left_s = median(each.processors[name].waited_for_s for each in living if name in each.processors)
    if left_s > 0:
        return f"{what}: {_wait(waiting)} for it, {works[0]} in {left_s:.1f} s"
    still = f", {waiting} still wait" if waiting else ""
    return f"{what}: {_names(works)} {'charges' if len(works) == 1 else 'charge'}{still}"


def _is_down(living: Sequence[ReplicaStatus], name: str) -> bool:
    """Whether at least half of the replicas that know the processor do not send to it."""
    states = Counter(each.processors[name].is_down for each in living if name in each.processors)
    return states[True] >= states[False]


def _lasted_s(living: Sequence[ReplicaStatus], name: str) -> float | None:
    """Tell for how long a processor has been down, by the clocks of the replicas that find it so; None if none does."""
    lasted_ms = [
        each.at_ms - seen.since_ms
        for each in living
        if (seen := each.processors.get(name)) is not None and seen.is_down and seen.since_ms is not None
    ]
    return max(lasted_ms) / 1000 if lasted_ms else None


def _replicas(heard: Sequence[HeardStatus]) -> Iterator[_Clause]:
    silent = [each for each in heard if each.is_silent]
    if silent:
        longest_s = max(each.silent_for_s for each in silent)
        who = _names([each.status.replica for each in silent])
        yield WARN, f"replica{'s' if len(silent) > 1 else ''} {who} silent for {longest_s:.0f} s"
    unready = [each.status.replica for each in heard if not each.is_silent and each.status.readiness == "unready"]
    if unready:
        tone = BAD if len(unready) == len(heard) - len(silent) else WARN
        yield tone, f"replica{'s' if len(unready) > 1 else ''} {_names(unready)} not taking payments"


def _parts(living: Sequence[ReplicaStatus]) -> Iterator[_Clause]:
    """Tell of the troubles of replicas that no other clause mentions."""
    for each in living:
        wrong = [state for part, state in each.parts.items() if state != "ok" and part not in TOLD_PARTS]
        if wrong:
            yield WARN, f"replica {each.replica}: {wrong[0]}"


def _waiting(living: Sequence[ReplicaStatus]) -> Iterator[_Clause]:
    backlog = sum(each.waiting_count for each in living)
    if backlog > FEW_PER_REPLICA * len(living):
        yield WARN, f"{_payments(backlog)} waiting to be charged"


def _calm(living: Sequence[ReplicaStatus], settled_per_s: float | None) -> str:
    who = "1 replica" if len(living) == 1 else f"{len(living)} replicas"
    if not settled_per_s:
        return f"all is well: {who}, and no payments now"
    return f"all is well: {who} settle{'s' if len(living) == 1 else ''} {settled_per_s:.0f} payments a second"


def _held(living: Sequence[ReplicaStatus]) -> int:
    return sum(each.waiting.get(what, 0) for each in living for what in FOR_A_PROCESSOR)


def _wait(count: int) -> str:
    return f"{count} wait" + ("s" if count == 1 else "")


def _payments(count: int) -> str:
    return "1 payment is" if count == 1 else f"{count} payments are"


def _them(count: int) -> str:
    return "it" if count == 1 else "them"


def _names(names: Sequence[str]) -> str:
    return " and ".join(names)
