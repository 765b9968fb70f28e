"""Whether a standby that took over has all is decided by what every replica finds there."""

import pytest

from actors.domain.failover import WAIT_S_MAX, OthersFindings, StoreFinding
from actors.domain.lease_watch import LEASE_S
from actors.domain.records import ReplicaState

BEAT_S = 0.25


def state(
    beats: int = 0, *, has_confirmed: bool = False, is_synchronous: bool = True, has_left: bool = False
) -> ReplicaState:
    return ReplicaState(
        "2", 1, str(beats), 0, has_left, 0, None, has_confirmed=has_confirmed, is_synchronous=is_synchronous
    )


def test_nobody_waits_where_all_have_confirmed_or_left() -> None:
    for others in ((), (state(has_confirmed=True),), (state(has_left=True, is_synchronous=False),)):
        assert OthersFindings(0.0).decide(others, 0.0) is StoreFinding.WHOLE


def test_one_that_has_not_told_is_waited_for() -> None:
    findings = OthersFindings(0.0)
    assert findings.decide([state()], 0.0) is StoreFinding.UNDECIDED
    assert findings.decide([state(1)], BEAT_S) is StoreFinding.UNDECIDED
    assert findings.decide([state(2, has_confirmed=True)], 2 * BEAT_S) is StoreFinding.WHOLE


@pytest.mark.parametrize(("is_synchronous", "found"), [(True, StoreFinding.WHOLE), (False, StoreFinding.FORGOTTEN)])
def test_for_one_that_stands_still_it_counts_whether_its_commits_waited_for_a_standby(
    is_synchronous: bool,  # noqa: FBT001  # drawn
    found: StoreFinding,
) -> None:
    findings, gone = OthersFindings(0.0), [state(is_synchronous=is_synchronous)]
    looks = round(LEASE_S / BEAT_S)
    assert {findings.decide(gone, look * BEAT_S) for look in range(looks)} == {StoreFinding.UNDECIDED}
    assert findings.decide(gone, LEASE_S) is found


def test_one_that_beats_and_never_tells_is_not_waited_for_for_ever() -> None:
    began_s = 1000.0
    findings = OthersFindings(began_s)
    looks = round(WAIT_S_MAX / BEAT_S)
    found = {findings.decide([state(look)], began_s + look * BEAT_S) for look in range(looks)}
    assert found == {StoreFinding.UNDECIDED}
    assert findings.decide([state(looks)], began_s + WAIT_S_MAX) is StoreFinding.FORGOTTEN
