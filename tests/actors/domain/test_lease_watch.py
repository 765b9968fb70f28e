"""Who lives is told by beats that others see, over the observer's own time alone."""

from dataclasses import replace

from actors.domain.lease_watch import FRESH_S, LEASE_S, UNSEEN_S_MAX, LeaseWatch
from actors.domain.records import ReplicaState
from actors.domain.wall_clock import ClockReading

STEP_S = 0.25


def replica(name: str, beats: int, epoch: int = 1, *, has_left: bool = False) -> ReplicaState:
    return ReplicaState(name, epoch, str(beats), 0, has_left, 0, ClockReading(beats, 8))


class Observer:
    """Looks at replicas again and again."""

    def __init__(self) -> None:
        self.now_s = 50.0
        self.watch = LeaseWatch()

    def look(self, *replicas: ReplicaState, after_s: float = STEP_S) -> "Observer":
        self.now_s += after_s
        self.watch.observe(replicas, self.now_s)
        return self

    def look_for(self, seconds: float, *replicas: ReplicaState) -> "Observer":
        for _ in range(round(seconds / STEP_S)):
            self.look(*replicas)
        return self

    @property
    def standing(self) -> list[str]:
        return [each.name for each in self.watch.standing_still(self.now_s)]

    @property
    def clocks(self) -> list[tuple[str, float, float]]:
        return [(each.replica, each.age_ms_min, each.age_ms_max) for each in self.watch.clocks(self.now_s)]


def test_who_was_seen_standing_still_for_the_length_of_a_lease_is_gone() -> None:
    observer = Observer().look(replica("1", 5), replica("2", 9))
    for beats in range(round(LEASE_S / STEP_S) - 1):
        observer.look(replica("1", 5), replica("2", 10 + beats))
    assert observer.standing == []
    assert observer.look(replica("1", 5), replica("2", 99)).standing == ["1"]


def test_a_beat_or_a_registration_begins_the_lease_anew() -> None:
    observer = Observer().look_for(LEASE_S, replica("1", 5), replica("2", 5))
    assert observer.look(replica("1", 6), replica("2", 5, epoch=2)).standing == []
    observer.look_for(LEASE_S - STEP_S, replica("1", 6), replica("2", 5, epoch=2))
    assert observer.standing == []
    assert observer.look(replica("1", 6), replica("2", 5, epoch=2)).standing == ["1", "2"]


def test_who_has_left_is_not_watched() -> None:
    observer = Observer().look_for(2 * LEASE_S, replica("1", 5, has_left=True))
    assert observer.standing == []
    assert observer.look(replica("1", 5, epoch=2)).standing == []


def test_an_observer_that_stood_still_itself_knows_nothing() -> None:
    observer = Observer().look_for(LEASE_S - STEP_S, replica("1", 5))
    observer.look(replica("1", 5), after_s=UNSEEN_S_MAX + STEP_S)
    assert (observer.standing, observer.watch.watched_s(observer.now_s)) == ([], 0.0)
    observer.look_for(LEASE_S, replica("1", 5))
    assert (observer.standing, observer.watch.watched_s(observer.now_s)) == (["1"], LEASE_S)


def test_one_that_has_looked_at_nobody_has_watched_nobody() -> None:
    assert LeaseWatch().watched_s(50.0) == 0.0


def test_a_pause_of_just_what_is_allowed_is_no_break_and_no_lease_ends_within_it() -> None:
    observer = Observer().look(replica("1", 5)).look(replica("1", 5), after_s=UNSEEN_S_MAX)
    assert observer.watch.watched_s(observer.now_s) == UNSEEN_S_MAX < LEASE_S


def test_the_clocks_are_those_that_were_published_with_the_beat() -> None:
    observer = Observer().look(replica("1", 5)).look(replica("1", 6))
    assert [each.reading for each in observer.watch.clocks(observer.now_s)] == [ClockReading(6, 8)]


def test_a_clock_is_as_old_as_the_looks_between_which_its_beat_came() -> None:
    observer = Observer().look(replica("1", 5)).look(replica("1", 6), after_s=0.5)
    assert observer.clocks == [("1", 0.0, 500.0)]
    assert observer.look(replica("1", 6)).clocks == [("1", 250.0, 750.0)]


def test_the_clock_of_a_replica_that_was_not_seen_to_beat_tells_nothing() -> None:
    observer = Observer().look_for(1.0, replica("1", 5))
    assert observer.clocks == []
    observer.look(replica("1", 6)).look_for(FRESH_S, replica("1", 6))
    assert observer.clocks == [("1", FRESH_S * 1000, FRESH_S * 1000 + 250)]
    assert observer.look(replica("1", 6)).clocks == []


def test_a_replica_that_appears_was_seen_to_beat() -> None:
    observer = Observer().look().look(replica("1", 0))
    assert [name for name, _, _ in observer.clocks] == ["1"]


def test_the_clock_of_a_release_that_publishes_none_is_left_out() -> None:
    silent = ReplicaState("1", 1, "2", 0, has_left=False, published_ms=0, clock=None)
    assert Observer().look(replica("1", 1)).look(silent).clocks == []


def test_clocks_that_a_later_release_has_left_under_a_name_are_left_out() -> None:
    goes_on = [replace(replica("1", beats, epoch=2), clock=ClockReading(5, 8)) for beats in range(6, 9)]
    observer = Observer().look(replica("1", 4)).look(replica("1", 5))
    assert [name for name, _, _ in observer.clocks] == ["1"]
    assert [observer.look(each).clocks for each in goes_on] == [[]] * 3
