"""Whether a processor is down, a replica may charge, and a replica has fallen silent."""

from dataclasses import replace

import pytest

from actors.domain.replica_status import SILENT_S, HeardStatus
from tests.actors.watching import DOWN, heard

(HEARD,) = heard("1")


@pytest.mark.parametrize(
    ("state", "cause", "charges", "is_down"),
    [
        ("open", "failure rate", True, True),
        ("half-open", "the cool-down is over", True, True),
        ("half-open", "an operator", True, False),
        ("forced-open", "an operator", True, True),
        ("open", "an operator", True, True),
        ("closed", None, True, False),
        ("forced-closed", "an operator", True, False),
        ("open", "failure rate", False, False),
    ],
)
def test_a_processor_is_down_while_payments_are_held_back_from_it(
    state: str, cause: str | None, *, charges: bool, is_down: bool
) -> None:
    assert replace(DOWN, state=state, cause=cause, charges=charges).is_down is is_down


def test_a_replica_is_leased_unless_postgres_or_the_gateway_is_in_trouble() -> None:
    for parts, is_leased in (
        ({"postgres": "ok"}, True),
        ({"postgres": "ok", "redis": "away"}, True),
        ({"postgres": "away"}, False),
        ({}, False),
        ({"postgres": "ok", "gateway": "stopping"}, False),
    ):
        assert replace(HEARD.status, parts=parts).is_leased is is_leased


def test_all_that_wait_are_counted_whatever_they_wait_for() -> None:
    assert replace(HEARD.status, waiting={"held": 2, "charging": 3}).waiting_count == 5


def test_a_replica_is_silent_once_it_has_told_nothing_for_longer_than_allowed() -> None:
    assert not HeardStatus(HEARD.status, SILENT_S).is_silent
    assert HeardStatus(HEARD.status, SILENT_S + 0.1).is_silent
    assert SILENT_S == 3
