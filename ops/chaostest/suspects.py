"""The suspicious payments of a run, with all records of each and the history that the gateway itself tells."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Protocol
from uuid import UUID

from ops.chaostest.checker import CheckResult
from ops.chaostest.client import NoAnswerError, open_connection
from ops.chaostest.history import History

KINDS = {
    "unknown": "accepted, and nobody knows at rest what became of them",
    "lost": "accepted, and not charged or not recorded",
    "duplicated": "charged more than once",
    "mismatched": "recorded otherwise than they were posted or charged",
    "phantom": "charged or recorded although they were refused or never posted",
    "misstated": "ended without a charge, and told otherwise",
    "lost_conflicts": "posted with another amount too, which was answered 202 and is reported nowhere",
}
"""The sets of a CheckResult that hold suspicious payments, and what is wrong with these."""
SUSPECTS_MAX = 200
"""How many suspicious payments are written down with all their records."""
HISTORIES_MAX = 50
"""About how many of them the gateway is asked; each answer may take half a second."""
Records = Mapping[str, Sequence[Any]]
"""All that is known of one payment: rows and other records by where they are from."""


class _HasId(Protocol):
    @property
    def correlation_id(self) -> UUID: ...


def suspects_of(found: CheckResult) -> list[UUID]:
    """List the payments for which a promise broke, or whose second amount was lost."""
    return sorted(found.broken | found.lost_conflicts)


def kinds_of(found: CheckResult, correlation_id: UUID) -> list[str]:
    """List what is wrong with one payment."""
    return [kind for kind in KINDS if correlation_id in getattr(found, kind)]


def records_of_suspects(
    history: History, suspects: Collection[UUID], histories: Mapping[UUID, Sequence[Any]]
) -> dict[UUID, Records]:
    """Collect all records of each suspicious payment, including the answers to `ask_histories`."""
    state = history.final_state
    tables: dict[str, Iterable[_HasId]] = {
        "offers": history.offers,
        "charges": state.charges,
        "foreign": state.foreign,
        "payment": state.payments,
        "claim": state.claims,
        "settlement": state.settlements,
        "conflict": state.conflicts,
        "closed": state.closed,
        "dispute": state.disputes,
        "rivals": history.rival_answers,
    }
    known: dict[UUID, dict[str, list[Any]]] = {each: {name: [] for name in tables} for each in suspects}
    for name, rows in tables.items():
        for row in rows:
            if row.correlation_id in known:
                known[row.correlation_id][name].append(row)
    for correlation_id, records in known.items():
        records["asked"] = [
            {"processor": processor, "fault": asked[correlation_id]}
            for processor, asked in state.requests.items()
            if correlation_id in asked
        ]
        records["told"] = sorted(state.told.get(correlation_id, ()))
        records["history"] = list(histories.get(correlation_id, ()))
    return dict(known)


def ask_histories(urls: Sequence[str], suspects: Sequence[UUID]) -> dict[UUID, list[Any]]:
    """Ask for `GET /payments/{id}/history` of suspicious payments, at any replica that answers.

    Each value is a list with one answer, or with the reasons why no replica gave one.
    """
    histories: dict[UUID, list[Any]] = {}
    for correlation_id in suspects[:HISTORIES_MAX]:
        histories[correlation_id] = failures = []
        for url in urls:
            with open_connection(url) as connection:
                try:
                    answer = connection.ask("GET", f"/payments/{correlation_id}/history")
                    if answer.status == HTTPStatus.OK:
                        histories[correlation_id] = [json.loads(answer.body)]
                        break
                    failures.append(f"{url} answered {answer.status}")
                except (NoAnswerError, ValueError) as error:
                    failures.append(f"{url}: {error}")
    return histories
