"""The questions of a chaos run to simulators and replicas when the load is over."""

import json
from collections.abc import Sequence
from http import HTTPStatus
from uuid import UUID

from ops import OpsError
from ops.chaostest.client import NoAnswerError, administer, open_connection


def read_requests(admin_url: str) -> dict[UUID, str | None]:
    """Ask a simulator which payments it was asked for, and which fault each id causes.

    Raises:
        OpsError: it does not answer.
    """
    rows = map(json.loads, administer(admin_url, "GET", "/admin/requests").splitlines())
    return {UUID(row["correlationId"]): row["fault"] for row in rows}


def read_states(replica_urls: Sequence[str], ids: Sequence[UUID]) -> dict[UUID, set[str]]:
    """Ask each replica for the states of payments; an answer that is not 200 counts as a state of that name.

    Raises:
        OpsError: a replica does not answer.
    """
    told: dict[UUID, set[str]] = {each: set() for each in ids}
    for url in replica_urls:
        with open_connection(url) as connection:
            for each, states in told.items():
                try:
                    answer = connection.ask("GET", f"/payments/{each}")
                except NoAnswerError as error:
                    raise OpsError(f"{url} does not answer for {each}: {error}") from error
                states.add(json.loads(answer.body)["state"] if answer.status == HTTPStatus.OK else str(answer.status))
    return told
