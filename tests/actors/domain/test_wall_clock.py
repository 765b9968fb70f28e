"""The wall clock goes on by itself when the system's clock steps, and follows it once it is known to be right."""

from random import Random

import pytest

from actors.domain.wall_clock import FOLLOW_S, SKEW_MS_MAX, STEP_MS_MAX, ClockReading, PeerClock, WallClock

TRUE_MS = 1_750_000_000_000
HOUR_MS = 3_600_000
BEAT_S = 0.25


class Machine:
    """A wall clock on a machine whose system's clock a test steps, among other replicas."""

    def __init__(self, ahead_ms: float = 0.0, *, has_joined: bool = True) -> None:
        self.now_s = 100.0
        self.ahead_ms = ahead_ms
        self.peers: dict[str, tuple[float, float]] = {}
        """How far the clock and the system's clock of others that live are ahead, by their names."""
        self.clock = WallClock(self.system_ms, self.now_s)
        if has_joined:
            self.clock.join(0)

    @property
    def true_ms(self) -> float:
        return TRUE_MS + (self.now_s - 100) * 1000

    @property
    def system_ms(self) -> float:
        return self.true_ms + self.ahead_ms

    @property
    def shown_ms(self) -> int:
        """How far the wall clock is ahead."""
        return round(self.clock.now_ms(self.now_s) - self.true_ms)

    def is_skewed(self) -> bool:
        return self.clock.is_skewed

    def trouble(self) -> str | None:
        return self.clock.trouble

    def run(self, seconds: float) -> list[int]:
        """Take samples for a time; give what the clock showed."""
        shown = []
        for _ in range(round(seconds / BEAT_S)):
            self.now_s += BEAT_S
            self.clock.sample(self.system_ms, self.now_s)
            self.clock.compare([self._peer(name) for name in self.peers], self.now_s)
            shown.append(self.clock.now_ms(self.now_s))
        return shown

    def _peer(self, name: str) -> PeerClock:
        clock_ms, system_ms = (round(self.true_ms + ahead_ms - 100) for ahead_ms in self.peers[name])
        return PeerClock(name, ClockReading(clock_ms, system_ms), age_ms_min=0.0, age_ms_max=250.0)


def test_it_shows_what_the_system_showed_carried_on_by_monotonic_time() -> None:
    machine = Machine()
    machine.now_s += 1.5
    assert (machine.clock.now_ms(machine.now_s), machine.trouble()) == (TRUE_MS + 1500, None)


@pytest.mark.parametrize("step_ms", [HOUR_MS, -HOUR_MS, 3_000, -3_000, STEP_MS_MAX + 1])
def test_a_step_that_is_undone_leaves_no_trace(step_ms: int) -> None:
    machine = Machine()
    machine.ahead_ms = step_ms
    machine.run(FOLLOW_S - 1)
    assert machine.shown_ms == 0
    assert machine.trouble() is not None
    machine.ahead_ms = 0
    machine.run(1.0)
    assert (machine.shown_ms, machine.trouble()) == (0, None)


def test_a_step_ahead_that_lasts_is_followed_at_once() -> None:
    machine = Machine()
    machine.ahead_ms = HOUR_MS
    machine.run(FOLLOW_S)
    assert machine.shown_ms == 0
    machine.run(BEAT_S)
    assert (machine.shown_ms, machine.trouble()) == (HOUR_MS, None)


def test_a_step_back_that_lasts_is_followed_by_running_slower_and_never_backwards() -> None:
    machine = Machine()
    machine.ahead_ms = -30_000
    shown = machine.run(2 * FOLLOW_S + 2)
    assert shown == sorted(shown)
    assert machine.shown_ms == -30_000
    assert machine.trouble() is None


def test_a_step_on_a_step_begins_a_new_wait() -> None:
    machine = Machine()
    machine.ahead_ms = HOUR_MS
    machine.run(FOLLOW_S - 1)
    machine.ahead_ms = 2 * HOUR_MS
    machine.run(FOLLOW_S - 1)
    assert machine.shown_ms == 0


def test_a_step_that_others_contradict_is_never_followed() -> None:
    machine = Machine()
    machine.peers["2"] = 0, 0
    machine.ahead_ms = HOUR_MS
    machine.run(10 * FOLLOW_S)
    assert (machine.shown_ms, machine.is_skewed()) == (0, False)
    assert machine.trouble() == "the system's clock has stepped and is 3600.0 s ahead"


@pytest.mark.parametrize("names", ["23", "32"])
def test_one_of_the_others_is_enough_to_contradict_a_step(names: str) -> None:
    machine = Machine()
    systems_ms = {"2": 0, "3": HOUR_MS}
    machine.peers = {name: (0, systems_ms[name]) for name in names}
    machine.ahead_ms = HOUR_MS
    machine.run(2 * FOLLOW_S)
    assert machine.shown_ms == 0


def test_a_step_that_all_machines_made_is_followed_when_it_lasts() -> None:
    machine = Machine()
    machine.peers["2"] = 0, HOUR_MS
    machine.ahead_ms = HOUR_MS
    machine.run(FOLLOW_S)
    assert machine.shown_ms == 0
    machine.run(1.0)
    assert machine.shown_ms == HOUR_MS


@pytest.mark.parametrize("wrong_ms", [-HOUR_MS, -3_000])
def test_a_clock_that_is_put_right_is_followed_as_soon_as_another_replica_confirms_it(wrong_ms: int) -> None:
    machine = Machine(ahead_ms=wrong_ms)
    machine.peers["2"] = 0, 0
    machine.run(1.0)
    assert machine.trouble() == f"the clock of replica 2 is {-wrong_ms / 1000 - 0.1:.1f} s ahead"
    assert machine.is_skewed()
    machine.ahead_ms = 0
    machine.run(3 * BEAT_S)
    assert (machine.shown_ms, machine.trouble(), machine.is_skewed()) == (0, None, False)


@pytest.mark.parametrize("step_ms", [STEP_MS_MAX, -STEP_MS_MAX])
def test_a_small_difference_is_slewed_away(step_ms: int) -> None:
    machine = Machine()
    machine.ahead_ms = step_ms
    shown = machine.run(0.5)
    assert abs(machine.shown_ms) < abs(step_ms)
    assert machine.trouble() is None
    shown += machine.run(1.0)
    assert machine.shown_ms == step_ms
    assert shown == sorted(shown)


def test_what_is_slewed_in_a_time_is_exact() -> None:
    machine = Machine(ahead_ms=0.9)
    machine.ahead_ms += STEP_MS_MAX
    machine.run(BEAT_S)
    assert machine.clock.now_ms(machine.now_s) == TRUE_MS + 250 + 125


def test_before_its_replica_has_joined_it_shows_what_the_system_shows_also_backwards() -> None:
    machine = Machine(ahead_ms=HOUR_MS, has_joined=False)
    machine.run(BEAT_S)
    assert machine.shown_ms == HOUR_MS
    machine.ahead_ms = 0
    machine.run(BEAT_S)
    assert (machine.shown_ms, machine.clock.trouble) == (0, None)


def test_before_its_replica_has_joined_it_shows_exactly_that_however_long_the_machine_runs() -> None:
    machine = Machine(has_joined=False)
    machine.now_s += 1_000_000
    machine.run(BEAT_S)
    assert (machine.shown_ms, machine.clock.reading(machine.now_s).system_ms) == (0, machine.system_ms)


def test_a_replica_that_does_not_join_says_so() -> None:
    machine = Machine(ahead_ms=3_000, has_joined=False)
    machine.peers["2"] = 0, 0
    machine.run(BEAT_S)
    wanted = "the clock of replica 2 is 2.9 s behind; this one does not join before they agree"
    assert machine.trouble() == wanted


def test_what_was_published_is_as_old_as_its_age_at_least_and_at_most() -> None:
    peer = PeerClock("2", ClockReading(0, 0), age_ms_min=100.0, age_ms_max=250.0)
    assert [peer.ahead_ms(1000, own_ms) for own_ms in (1050, 1100, 1249.5, 1250, 1300)] == [50, 0, 0, 0, -50]
    assert [peer.shows(2000, own_ms) for own_ms in (1100, 1099)] == [True, False]


def test_nothing_below_a_floor_is_shown() -> None:
    machine = Machine()
    machine.clock.join(TRUE_MS + 400)
    machine.clock.join(TRUE_MS + 300)
    assert machine.shown_ms == 400
    machine.now_s += 1
    assert machine.shown_ms == 0


def test_that_stamps_stand_still_below_a_floor_far_ahead_is_told_until_time_has_reached_it() -> None:
    machine = Machine()
    machine.clock.join(TRUE_MS + HOUR_MS)
    machine.run(1.0)
    assert machine.trouble() == "stamps stand still: another replica has published an instant that is 3599.0 s ahead"
    machine.now_s += HOUR_MS / 1000 - SKEW_MS_MAX / 1000 - 1
    machine.run(BEAT_S)
    assert machine.trouble() is None


def test_both_clocks_are_published() -> None:
    machine = Machine()
    machine.ahead_ms = HOUR_MS
    machine.run(1.0)
    assert machine.clock.reading(machine.now_s) == ClockReading(TRUE_MS + 1000, TRUE_MS + 1000 + HOUR_MS)


def test_the_systems_clock_is_published_as_it_is_while_the_other_is_slewed_towards_it() -> None:
    machine = Machine()
    machine.ahead_ms = STEP_MS_MAX
    machine.run(BEAT_S)
    assert machine.clock.reading(machine.now_s) == ClockReading(TRUE_MS + 375, TRUE_MS + 750)


@pytest.mark.parametrize(
    ("ahead_ms", "is_skewed"),
    [(0, False), (SKEW_MS_MAX, False), (SKEW_MS_MAX + 200, True), (-SKEW_MS_MAX, False), (-SKEW_MS_MAX - 400, True)],
)
def test_clocks_may_differ_by_a_limit_in_which_the_age_of_a_reading_does_not_count(
    ahead_ms: int, *, is_skewed: bool
) -> None:
    machine = Machine()
    machine.peers = {"2": (0, 0), "3": (ahead_ms, ahead_ms)}
    machine.run(BEAT_S)
    assert machine.is_skewed() is is_skewed


def test_it_never_runs_backwards_whatever_the_system_shows() -> None:
    rng = Random(11)
    machine = Machine()
    shown = []
    for _ in range(300):
        machine.ahead_ms += rng.choice((0, 0, 300, -300, 5_000, -5_000, HOUR_MS, -HOUR_MS))
        shown += machine.run(rng.choice((BEAT_S, 1.0, FOLLOW_S + 5)))
        machine.now_s += rng.choice((0, 0, 30.0))
    assert shown == sorted(shown)


def test_what_others_said_of_an_earlier_step_does_not_count_for_the_next() -> None:
    machine = Machine()
    machine.peers["2"] = (HOUR_MS, HOUR_MS)
    machine.ahead_ms = HOUR_MS
    machine.run(BEAT_S)
    machine.ahead_ms = 3 * HOUR_MS
    for _ in range(2):  # The others are not seen meanwhile.
        machine.now_s += BEAT_S
        machine.clock.sample(machine.system_ms, machine.now_s)
    assert machine.shown_ms == 0


@pytest.mark.parametrize(("ahead_ms", "is_step"), [(500, False), (501, True), (-500, False), (-501, True)])
def test_more_than_half_a_second_is_a_step(ahead_ms: float, *, is_step: bool) -> None:
    machine = Machine()
    machine.ahead_ms = ahead_ms
    machine.run(BEAT_S)
    assert (machine.trouble() is not None) is is_step
    assert (STEP_MS_MAX, SKEW_MS_MAX, FOLLOW_S) == (500, 1000, 60)


@pytest.mark.parametrize("names", ["23", "32"])
def test_one_of_the_others_is_enough_to_confirm_a_step_and_one_to_tell_of_a_skew(names: str) -> None:
    machine = Machine()
    machine.ahead_ms = HOUR_MS
    clocks_ms = {"2": HOUR_MS, "3": 0}
    machine.peers = {name: (clocks_ms[name], 0) for name in names}
    machine.run(2 * BEAT_S)
    assert machine.shown_ms == HOUR_MS


def test_before_the_first_sample_both_clocks_show_the_same() -> None:
    machine = Machine()
    assert machine.clock.reading(machine.now_s) == ClockReading(TRUE_MS, TRUE_MS)
