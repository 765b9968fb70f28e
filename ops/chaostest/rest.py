"""Tells whether a gateway has come to rest after a chaos run, so that no accepted payment can still move."""

from collections.abc import Collection
from collections.abc import Set as AbstractSet
from uuid import UUID

import psycopg

from ops.chaostest.endings import UNASKED_MAX, asked_of
from ops.chaostest.inquiry import read_requests
from ops.chaostest.record_sources import RecordSources

COUNTS = """
SELECT (SELECT count(*) FROM claim), (SELECT count(*) FROM settlement) + (SELECT count(*) FROM closed)
"""
ENDED = "SELECT correlation_id FROM settlement UNION ALL SELECT correlation_id FROM closed"


def is_at_rest(sources: RecordSources, accepted: AbstractSet[UUID], lost_processors: Collection[str]) -> bool:
    """Tell whether all that was accepted is settled, closed, or in doubt at a processor that never comes back.

    Raises:
        OpsError: a simulator does not answer.
    """
    try:
        with psycopg.connect(sources.database_url, connect_timeout=5) as connection:
            claims, ended = connection.execute(COUNTS).fetchall()[0]
            # Counts are compared first, since this is asked often until then, and there are many ids.
            if claims + ended < len(accepted) or (claims and not lost_processors):
                return False
            rows = connection.execute("SELECT correlation_id, processor FROM claim")
            claimed: dict[UUID, str | None] = dict(rows.fetchall())
            unended = claimed.keys() | (accepted - {row[0] for row in connection.execute(ENDED)})
    except psycopg.Error:
        return False
    if any((claimed.get(each) or "") not in lost_processors for each in unended):
        return False
    asked = {name: read_requests(url) for name, url in sources.administrations.items() if name in lost_processors}
    return len(unended - asked_of(asked, asked)) <= UNASKED_MAX
