"""A dead replica leaves payments, claims and a lease that is over, and each payment counts as accepted."""

from collections import Counter

import psycopg
import pytest

from ops import OpsError
from ops.chaostest.dead_replica import DeadReplica
from ops.chaostest.schedule import ScheduledFault


def leave(rows: int) -> ScheduledFault:
    return ScheduledFault(0, "leave", "dead", 0, {"rows": rows})


def test_its_claims_name_processors_and_nobody_and_their_owner_has_left(database_url: str) -> None:
    dead = DeadReplica(database_url, seed=1, scale=0.1)
    dead.begin(leave(2000))
    dead.begin(leave(500))
    with psycopg.connect(database_url) as connection:
        claims = connection.execute("SELECT correlation_id, processor, owner FROM claim").fetchall()
        gone = connection.execute("SELECT name FROM replica WHERE left_epoch >= epoch ORDER BY name").fetchall()
        payments = connection.execute("SELECT correlation_id, amount_cents, currency FROM payment").fetchall()
    assert Counter(owner for _, _, owner in claims) == {"gone-1": 200, "gone-2": 50}
    assert gone == [("gone-1",), ("gone-2",)]
    named = Counter(processor for _, processor, _ in claims)
    assert named.keys() == {None, "default", "fallback"}
    assert 90 < named[None] < 160
    assert {(each.correlation_id, each.amount.minor, each.amount.code) for each in dead.offers} == set(payments)
    assert all(offer.accepted and not offer.refused for offer in dead.offers)


def test_the_sum_of_a_thousand_does_not_fit_into_64_bits(database_url: str) -> None:
    dead = DeadReplica(database_url, seed=1, scale=0.1)
    dead.begin(leave(10_000))
    assert sum(each.amount.minor for each in dead.offers) > 2**63 > dead.offers[0].amount.minor


def test_rows_that_cannot_be_written_are_no_offers() -> None:
    dead = DeadReplica("postgresql://nobody@127.0.0.1:1/none", seed=1, scale=1)
    with pytest.raises(OpsError):
        dead.begin(leave(10))
    assert dead.offers == []
