"""The wall clock of a replica, by which charges are stamped.

It begins with what the system's clock shows and goes on by monotonic time, so that no step of the system's clock gets
into stamps before it is known to be right.
"""

from collections.abc import Iterable
from dataclasses import dataclass

STEP_MS_MAX = 500
"""By how much the system's clock may differ before that counts as a step. Up to it the difference is slewed."""
SLEW_RATE = 0.5
"""How much faster or slower than monotonic time the clock runs, at most, while it is slewed."""
FOLLOW_S = 60.0
"""How long a step must last before it is followed, where the clock of no other replica confirms or contradicts it."""
SAMPLE_S_MAX = 1.0
"""A longer pause between two samples counts as this long: the clock is slewed no further for it."""
SKEW_MS_MAX = 1000
"""By how much clocks of replicas may differ. A replica whose clock differs by more does not join."""


@dataclass(frozen=True, slots=True)
class ClockReading:
    """What two clocks of one replica showed at one moment, in milliseconds since the epoch."""

    clock_ms: int
    """The clock by which it stamps charges."""
    system_ms: int
    """The system's clock."""


@dataclass(frozen=True, slots=True)
class PeerClock:
    """The clocks of another replica that lives, as it published them a while ago."""

    replica: str
    reading: ClockReading
    age_ms_min: float
    age_ms_max: float
    """The reading is between `age_ms_min` and `age_ms_max` old."""

    def ahead_ms(self, published_ms: int, own_ms: float) -> float:
        """Tell how far one of its clocks is ahead of an own one at least; negative where it is behind."""
        earliest_ms, latest_ms = published_ms + self.age_ms_min, published_ms + self.age_ms_max
        return earliest_ms - own_ms if earliest_ms > own_ms else min(0.0, latest_ms - own_ms)

    def shows(self, published_ms: int, own_ms: float) -> bool:
        """Tell whether one of its clocks agrees with an own one."""
        return abs(self.ahead_ms(published_ms, own_ms)) <= SKEW_MS_MAX


class WallClock:
    """Tells the time to stamp charges by. `now_s` is monotonic time.

    Until its replica has joined, it shows what the system's clock shows; from then on it never runs backwards, and a
    step of the system's clock that is undone leaves no trace. One that lasts is followed once the clocks of other
    replicas confirm it, or after `FOLLOW_S` where none contradicts it: forwards at once, backwards by running slower.
    """

    def __init__(self, system_ms: float, now_s: float) -> None:
        """Begin with what the system's clock shows."""
        self._offset_ms = system_ms - now_s * 1000
        """How far the clock is ahead of monotonic time."""
        self._last_ms = 0
        self._stands_ms = 0.0
        """How far the last instant that was told was ahead of the clock at the last sample: so long it stands still."""
        self.has_joined = False
        """Whether charges may have been stamped by it."""
        self._gap_ms = 0.0
        """How far the system's clock was ahead at the last sample."""
        self._sampled_at_s = now_s
        self._stepped_at_s: float | None = None
        """When the present step of the system's clock was first seen; None where it has not stepped."""
        self._confirmed = self._contradicted = False
        """Whether clocks of other replicas confirm the step, or contradict it."""
        self._skew: tuple[str, float] | None = None
        """The other replica whose clock differs by more than it may, and by how much it is ahead."""

    def now_ms(self, now_s: float) -> int:
        """Tell the time in milliseconds since the epoch."""
        now_ms = int(now_s * 1000 + self._offset_ms)
        if now_ms < self._last_ms:
            return self._last_ms
        self._last_ms = now_ms
        return now_ms

    def join(self, published_ms: int) -> None:
        """Let charges be stamped: from now on tell no time before `published_ms`, or before any that was told."""
        self.has_joined = True
        self._last_ms = max(self._last_ms, published_ms)

    def reading(self, now_s: float) -> ClockReading:
        """Tell what is published for other replicas to compare their clocks with."""
        return ClockReading(self.now_ms(now_s), int(now_s * 1000 + self._offset_ms + self._gap_ms))

    def sample(self, system_ms: float, now_s: float) -> None:
        """Record what the system's clock shows now, and slew towards it or follow its step."""
        if not self.has_joined:
            self._offset_ms, self._last_ms = system_ms - now_s * 1000, 0
        gap_ms = system_ms - (now_s * 1000 + self._offset_ms)
        slew_ms = SLEW_RATE * min(now_s - self._sampled_at_s, SAMPLE_S_MAX) * 1000
        self._sampled_at_s = now_s
        if abs(gap_ms) <= STEP_MS_MAX:
            change_ms = max(-slew_ms, min(gap_ms, slew_ms))
        elif self._stepped_at_s is None or abs(gap_ms - self._gap_ms) > STEP_MS_MAX:
            self._stepped_at_s = now_s
            self._confirmed = self._contradicted = False
            change_ms = 0.0
        elif self._confirmed or (now_s - self._stepped_at_s >= FOLLOW_S and not self._contradicted):
            change_ms = max(-slew_ms, gap_ms)
        else:
            change_ms = 0.0
        self._offset_ms += change_ms
        self._gap_ms = gap_ms - change_ms
        if abs(self._gap_ms) <= STEP_MS_MAX:
            self._stepped_at_s = None
        self._stands_ms = self._last_ms - (now_s * 1000 + self._offset_ms)

    def compare(self, peers: Iterable[PeerClock], now_s: float) -> None:
        """Compare with the clocks of all other replicas that live."""
        own_ms = now_s * 1000 + self._offset_ms
        system_ms = own_ms + self._gap_ms
        self._confirmed = self._contradicted = False
        self._skew = None
        for peer in peers:
            confirms = peer.shows(peer.reading.clock_ms, system_ms)
            self._confirmed |= confirms
            self._contradicted |= not confirms and not peer.shows(peer.reading.system_ms, system_ms)
            if not peer.shows(peer.reading.clock_ms, own_ms):
                self._skew = peer.replica, peer.ahead_ms(peer.reading.clock_ms, own_ms)

    @property
    def is_skewed(self) -> bool:
        """Whether the clock of another replica that lives differs by more than it may."""
        return self._skew is not None

    @property
    def trouble(self) -> str | None:
        """What an operator has to put right; None where nothing is wrong."""
        if self._skew is not None:
            replica, ahead_ms = self._skew
            joins = "" if self.has_joined else "; this one does not join before they agree"
            return f"the clock of replica {replica} is {_seconds(ahead_ms)}{joins}"
        if self._stepped_at_s is not None:
            return f"the system's clock has stepped and is {_seconds(self._gap_ms)}"
        if self._stands_ms > SKEW_MS_MAX:
            stands_s = self._stands_ms / 1000
            return f"stamps stand still: another replica has published an instant that is {stands_s:.1f} s ahead"
        return None


def _seconds(ahead_ms: float) -> str:
    return f"{abs(ahead_ms) / 1000:.1f} s {'ahead' if ahead_ms > 0 else 'behind'}"
