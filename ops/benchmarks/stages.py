"""The event's two games and random ones: how the processors behave in each part, and what is offered meanwhile."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random

USER_PERIOD_S = 1.003
"""A user pays, waits for the answer, and sleeps for a second."""
PREVIEW_FEES = {"default": 5, "fallback": 15}
FINAL_FEES = {"default": 7, "fallback": 10}
"""The fee of each processor, in percent."""


@dataclass(frozen=True, slots=True)
class Condition:
    """How one processor behaves."""

    delay_s: float = 0.0
    failure_rate: float = 0.0
    """Share of requests that it answers with 500, after the delay."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Both processors from one moment to the next stage's."""

    from_s: float
    default: Condition
    fallback: Condition


Table = tuple[Stage, ...]
"""Stages in the order of time, the first from 0."""

WORKS = Condition()


@dataclass(frozen=True, slots=True)
class SimulatedGame:
    """What is played: the stages, the load and the fees; by default the load and the fees of the preview."""

    table: Table
    users: int = 550
    """Users ramp from 1 to this number over the whole run."""
    duration_s: float = 60.0
    amount_cents: int = 1990
    fees_percent: Mapping[str, int] = field(default_factory=lambda: PREVIEW_FEES)

    def arrivals(self) -> Iterator[tuple[float, int]]:
        """Give the moment of each payment and the user that makes it, by user."""
        for user in range(self.users):
            moment_s = self.duration_s * user / max(self.users - 1, 1)
            while moment_s < self.duration_s:
                yield moment_s, user
                moment_s += USER_PERIOD_S

    def left_cents(self, processor: str) -> float:
        """Tell how much of one amount is left after the fee of a processor."""
        return self.amount_cents * (100 - self.fees_percent[processor]) / 100


PREVIEW = SimulatedGame(
    (
        Stage(0, WORKS, WORKS),
        Stage(10, Condition(0.1), WORKS),
        Stage(20, Condition(0.1, 1), WORKS),
        Stage(30, Condition(2.0, 1), Condition(1.0, 1)),
        Stage(40, Condition(0.02), Condition(0.02)),
        Stage(50, WORKS, Condition(5.0)),
    )
)
FINAL = SimulatedGame(
    (
        Stage(0, WORKS, WORKS),
        Stage(30, Condition(1.0), WORKS),
        Stage(60, Condition(0.5), WORKS),
        Stage(90, Condition(2.0, 1), Condition(1.0)),
        Stage(120, Condition(5.0, 1), Condition(0.005)),
        Stage(150, WORKS, Condition(0.005, 1)),
        Stage(180, Condition(0.1), Condition(0.005)),
        Stage(210, Condition(0.05), WORKS),
        Stage(240, Condition(0.103), Condition(0.01)),
        Stage(270, Condition(2.0), WORKS),
    ),
    users=603,
    duration_s=300.0,
    amount_cents=2005,
    fees_percent=FINAL_FEES,
)
GAMES = {"preview": PREVIEW, "final": FINAL}

DURATION_S, STAGE_S = PREVIEW.duration_s, 10.0
"""The duration of a random table, and of each of its stages."""
DELAYS_S = tuple(each.delay_s for stage in PREVIEW.table for each in (stage.default, stage.fallback))
"""Delays from which one is drawn for each processor and stage: half of them are 0, as in the event."""
PARTIAL_RATE = 0.4
FAILURE_RATES = (0.0, 0.0, 0.0, 0.0, PARTIAL_RATE, 1.0)
"""Rates from which one is drawn for each stage of fallback; default has a rate of 1 in its outages."""
OUTAGES_MAX = 2
OUTAGE_FIRST_S, OUTAGE_LAST_S = 5.0, 50.0
"""An outage of default begins between these moments."""
OUTAGE_S_MIN, OUTAGE_S_MAX = 1.0, 30.0
LASTING_SHARE = 0.25
"""Share of tables whose last outage goes on to the end; all other outages end before."""


def random_table(chance: Random) -> Table:
    """Draw six stages of ten seconds, as in the event, and one or two outages of the default, of any length."""
    drawn = [(number * STAGE_S, _condition(chance), _condition(chance, 1.0)) for number in range(6)]
    outages = _outages(chance)
    moments = sorted({from_s for from_s, _, _ in drawn} | {moment_s for outage in outages for moment_s in outage})
    return tuple(_stage_at(moment_s, drawn, outages) for moment_s in moments if moment_s < DURATION_S)


def random_games(count: int, seed: int) -> list[SimulatedGame]:
    """Draw games with the preview's load and fees; the same seed gives the same ones, however many are asked for."""
    return [SimulatedGame(random_table(Random(f"{seed} {number}"))) for number in range(count)]  # noqa: S311  # no secret


def with_fees(games: Sequence[SimulatedGame], fees_percent: Mapping[str, int]) -> list[SimulatedGame]:
    """Give the same games with other fees."""
    return [replace(game, fees_percent=fees_percent) for game in games]


def _condition(chance: Random, failure_rate_max: float = PARTIAL_RATE) -> Condition:
    rates = [rate for rate in FAILURE_RATES if rate <= failure_rate_max]
    return Condition(chance.choice(DELAYS_S), chance.choice(rates))


def _outages(chance: Random) -> list[tuple[float, float]]:
    begins_s = sorted(chance.uniform(OUTAGE_FIRST_S, OUTAGE_LAST_S) for _ in range(chance.randint(1, OUTAGES_MAX)))
    ends_s = [chance.uniform(begin_s + OUTAGE_S_MIN, min(begin_s + OUTAGE_S_MAX, DURATION_S)) for begin_s in begins_s]
    if chance.random() < LASTING_SHARE:
        ends_s[-1] = DURATION_S
    return list(zip(begins_s, ends_s, strict=True))


def _stage_at(
    moment_s: float, drawn: list[tuple[float, Condition, Condition]], outages: list[tuple[float, float]]
) -> Stage:
    _, default, fallback = max(one for one in drawn if one[0] <= moment_s)
    if any(begin_s <= moment_s < end_s for begin_s, end_s in outages):
        default = Condition(default.delay_s, 1.0)
    return Stage(moment_s, default, fallback)
