"""Works out how a cluster came through a run: from what clients, processors and the nemesis know. It is pure."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from ops.chaostest.history import History
from ops.chaostest.nemesis import InjectedFault
from ops.clustertest.availability import Gaps, Span, find_gaps, reachable_spans
from ops.clustertest.chaos_targets import hosts_of, is_link

HIDING = frozenset({"kill", "wipe", "pause"})
"""Faults of a host, or of a replica, that keep clients from it."""


def gaps_without_202(history: History, load: Span) -> Gaps:
    """Find the times in which no replica accepted a payment."""
    return find_gaps((at for each in _answers(history).values() for at, status in each if _is_202(status)), [load])


def gaps_without_charge(history: History, load: Span) -> Gaps:
    """Find the times in which no processor booked a charge."""
    return find_gaps((each.booked_at_ms for each in history.final_state.charges), [load])


def gaps_by_replica(
    history: History, load: Span, replicas: Mapping[str, tuple[str, str]], injected: Sequence[InjectedFault]
) -> dict[str, Gaps]:
    """Find, for each replica, the times in which it accepted nothing although a client could reach it.

    Args:
        history: what clients were answered.
        load: when payments were offered.
        replicas: the host and the role of each replica, such as `h1` and `replica-2`, by its address.
        injected: all faults.
    """
    answers = _answers(history)
    return {
        url: find_gaps(
            (at for at, status in answers[url] if _is_202(status)),
            reachable_spans(load, _away(host, role, injected, load), (at for at, _ in answers[url])),
        )
        for url, (host, role) in replicas.items()
    }


def _away(host: str, role: str, injected: Sequence[InjectedFault], load: Span) -> list[Span]:
    begin, end = load
    return [
        (begin + int(each.began_s * 1000), end if each.ended_s is None else begin + int(each.ended_s * 1000))
        for each in injected
        if each.fault.fault in HIDING
        and not is_link(each.fault)
        and host in hosts_of(each.fault, [host])
        and each.fault.target.partition("/")[2] in {"", role}
    ]


def _is_202(status: int) -> bool:
    return status == HTTPStatus.ACCEPTED


def _answers(history: History) -> dict[str, list[tuple[int, int]]]:
    """List when each replica answered, and with which status, by its address."""
    answers: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for offer in history.offers:
        for each in offer.attempts:
            if each.status is not None and each.answered_at_ms is not None:
                answers[each.url].append((each.answered_at_ms, each.status))
    return answers
