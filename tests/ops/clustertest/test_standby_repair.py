"""A standby that has not followed the primary for long is found, and no other."""

from ops.clustertest.cluster_snapshot import MemberState
from ops.clustertest.standby_repair import STUCK_S_MAX, StuckStandbys

PRIMARY = MemberState("leader", "running", 42)
FOLLOWS = MemberState("replica", "running", 42, 0)
OLD_TIMELINE = MemberState("replica", "running", 19, 235_030_816)
DOES_NOT_START = MemberState("replica", "starting")


def test_who_follows_is_never_stuck() -> None:
    stuck = StuckStandbys()
    for now_s in (0.0, 2 * STUCK_S_MAX):
        assert stuck.observe({"h1": PRIMARY, "h2": FOLLOWS, "h3": FOLLOWS}, now_s) == []


def test_who_stays_on_an_old_timeline_or_does_not_start_is_told_once_in_that_time() -> None:
    stuck, members = StuckStandbys(), {"h1": PRIMARY, "h2": OLD_TIMELINE, "h3": DOES_NOT_START}
    told = [stuck.observe(members, now_s * STUCK_S_MAX) for now_s in (0, 0.9, 1, 1.5, 2.5)]
    assert told == [[], [], ["h2", "h3"], [], ["h2", "h3"]]


def test_who_has_followed_in_between_is_not_stuck() -> None:
    stuck = StuckStandbys()
    for now_s, state in ((0.0, DOES_NOT_START), (STUCK_S_MAX / 2, FOLLOWS), (STUCK_S_MAX, DOES_NOT_START)):
        assert stuck.observe({"h1": PRIMARY, "h2": state}, now_s) == []


def test_nothing_is_known_of_standbys_while_there_is_no_primary() -> None:
    stuck = StuckStandbys()
    assert stuck.observe({"h1": PRIMARY, "h2": DOES_NOT_START}, 0.0) == []
    assert stuck.observe({"h1": FOLLOWS, "h2": DOES_NOT_START}, STUCK_S_MAX / 2) == []
    assert stuck.observe({"h1": PRIMARY, "h2": DOES_NOT_START}, STUCK_S_MAX) == []
