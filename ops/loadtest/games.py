"""The games: when users pay, how the processors behave meanwhile, and by which rules the outcome is scored."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from ops.benchmarks import stages
from ops.benchmarks.stages import WORKS, Condition, Stage, Table

PERIOD_S = 1.0015
"""From one payment of a user to the next: the answer of a quick gateway, and a second of sleep."""
CHECK_FROM_S = 15.0
"""How long before a check its window begins."""
FLAP_S = 3.0
"""How long one of the processors fails in the game `flap`, before the other does."""
FAILS = Condition(failure_rate=1)
PUBLIC_TOKEN = "123"  # noqa: S105 - the event's public default
"""What the processors ask for before a game."""


@dataclass(frozen=True, slots=True)
class UserSpan:
    """When one user pays: at the beginning of the span and then once a period, until its end."""

    begin_s: float
    end_s: float


@dataclass(frozen=True, slots=True, order=True)
class Arrival:
    """The intended moment of one payment, counted from the begin of the game."""

    at_s: float
    user: int


UserSpans = tuple[UserSpan, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Game:
    """One game with all its rules."""

    name: str
    stages: Table
    duration_s: float
    users: int
    load: Callable[[int, float], UserSpans]
    """Makes the spans of a number of users within a number of seconds."""
    amount: Decimal
    fees: Mapping[str, Decimal]
    """The share of each amount that a processor keeps, by its name."""
    check_until_s: float
    """How long before a check its window ends."""
    check_step_s: float = 10.0
    """How long after the answers to a check the next one comes."""
    differences_by_processor: bool
    """Whether differences of the two processors are added; if not, one can make up for the other."""
    paid_by_ledgers: bool
    """Whether the processors' books say what was paid; if not, the gateway's own summary does."""
    summary_s: float
    """How long before the end the last summary begins."""

    @property
    def spans(self) -> UserSpans:
        """The spans of all users."""
        return self.load(self.users, self.duration_s)

    def resized(self, users: int | None, seconds: float | None) -> "Game":
        """Make the same game with other users or with another duration, over which its stages are spread alike.

        The last summary reaches back as far before the beginning as in the game itself: last answers and pauses, over
        which it has to reach as well, take as long in a short game.
        """
        duration_s = self.duration_s if seconds is None else seconds
        scale = duration_s / self.duration_s
        stages = tuple(replace(stage, from_s=stage.from_s * scale) for stage in self.stages)
        return replace(
            self,
            stages=stages,
            duration_s=duration_s,
            users=self.users if users is None else users,
            summary_s=self.summary_s - self.duration_s + duration_s,
        )


def ramp(users: int, seconds: float) -> UserSpans:
    """Begin with one user, and add one after the other, evenly, so that the last comes at the end."""
    return tuple(UserSpan(seconds * number / max(users - 1, 1), seconds) for number in range(users))


def spike(users: int, seconds: float) -> UserSpans:
    """Begin with a fiftieth of the users; all others come at once after a third of the time, and leave after two.

    The users that come at once also pay at the same moments, as clients do that were started by one event.
    """
    steady = max(users // 50, 1)
    few = [UserSpan(seconds / 3 * number / steady, seconds) for number in range(steady)]
    return (*few, *(UserSpan(seconds / 3, seconds * 2 / 3) for _ in range(users - steady)))


def arrivals(spans: UserSpans) -> list[Arrival]:
    """List the intended payments of all users in the order of time."""
    found = []
    for user, span in enumerate(spans):
        number = 0
        while (at_s := span.begin_s + number * PERIOD_S) < span.end_s:
            found.append(Arrival(at_s, user))
            number += 1
    return sorted(found)


def _flapping(seconds: float) -> Table:
    rounds = int(seconds / FLAP_S) - 1
    turns = ((FAILS, WORKS), (WORKS, FAILS))
    return (
        *(Stage(number * FLAP_S, *turns[number % 2]) for number in range(rounds)),
        Stage(rounds * FLAP_S, WORKS, WORKS),
    )


def _of_the_event(name: str, *, check_until_s: float, summary_s: float, is_strict: bool) -> Game:
    """Make a game of the event, which is `is_strict` where differences add up and the processors' books count."""
    simulated = stages.GAMES[name]
    return Game(
        name=name,
        stages=simulated.table,
        duration_s=simulated.duration_s,
        users=simulated.users,
        load=ramp,
        amount=Decimal(simulated.amount_cents) / 100,
        fees={processor: Decimal(percent) / 100 for processor, percent in simulated.fees_percent.items()},
        check_until_s=check_until_s,
        differences_by_processor=is_strict,
        paid_by_ledgers=is_strict,
        summary_s=summary_s,
    )


PREVIEW = _of_the_event("preview", check_until_s=1.5, summary_s=70.0, is_strict=False)
FINAL = _of_the_event("final", check_until_s=2.0, summary_s=360.0, is_strict=True)
"""The event's final, which decided the contest."""
CALM = replace(PREVIEW, name="calm", stages=(Stage(0, WORKS, WORKS),), differences_by_processor=True)
"""The preview's load while both processors work; as in all of the following, differences are counted strictly."""
GAMES: Mapping[str, Game] = {
    game.name: game
    for game in (
        PREVIEW,
        FINAL,
        CALM,
        replace(CALM, name="flap", stages=_flapping(CALM.duration_s)),
        replace(CALM, name="down", stages=(Stage(0, FAILS, WORKS),)),
        replace(CALM, name="edge", stages=(Stage(0, Condition(CALM.check_until_s), WORKS),)),
        replace(CALM, name="spike", users=500, load=spike),
    )
}
"""All games by their names. In `edge` the delay of default is as long as checks reach back: charges end at edges."""
