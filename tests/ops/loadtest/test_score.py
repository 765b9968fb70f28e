"""The score is the event's: published results are scored again from their own figures."""

from dataclasses import dataclass, replace
from decimal import Decimal

import pytest

from ops.loadtest.games import FINAL, PREVIEW, Game
from ops.loadtest.outcome import judge_game, outcome
from ops.loadtest.player import GameRecord
from ops.loadtest.score import PaidTotal, bonus, count_differences, rounded_ms, score


@dataclass(frozen=True)
class Published:
    entry: str
    p99_ms: float
    default: tuple[int, str]
    """Payments that were charged there, and their amount."""
    fallback: tuple[int, str]
    differences: int
    accepted: int
    bonus_percent: int
    lag: int
    points: float


# participantes/<entry>/partial-results.json in the event's repository, github.com/zanfranceschi/rinha-de-backend-2025,
# commit 1f12eac.
PREVIEWS = (
    Published("gabxdev-java-1", 1.25, (16752, "333364.8"), (0, "0"), 0, 16752, 20, 0, 380035.872),
    Published("dudebank-bun", 1.3, (16754, "333404.6"), (0, "0"), 0, 16754, 19, 0, 376913.9003),
    Published("josineyjr-go-1", 1.45, (16752, "333364.8"), (0, "0"), 0, 16752, 19, 0, 376868.9064),
    Published("alan-silva", 1.62, (16749, "333305.1"), (0, "0"), 0, 16749, 19, 0, 376801.41555),
    Published(
        "josimar-silva", 3.75, (13295, "264570.49999995"), (3452, "68694.800000002"), 0, 16747, 15, 0, 356192.43825
    ),
    Published("DouglasMorais-java", 8.21, (14349, "285545.1"), (2253, "44834.7"), 9194, 16746, 6, 144, 219657.9114),
    Published("ccs1201-01", 54.74, (14212, "282818.8"), (2375, "47262.5"), 293, 16586, 0, -1, 200753.14025),
    Published("arthur-r-oliveira", 4.79, (8212, "163418.8"), (2324, "46247.6"), 15625, 16729, 12, 6193, 149809.9064),
    Published("brunosilvadev", 654.98, (5867, "116753.3"), (2119, "42168.1"), 3136, 13083, 0, 5097, 95393.038),
    Published("andersonhqds-node", 1033.23, (2923, "58167.7"), (912, "18148.8"), 0, 13218, 0, 9383, 70685.795),
)
# participantes/<entry>/final-results.json in the same repository, commit e853c85; the ranked ones from the table that
# was published of the final, whose amounts follow from the numbers of payments and whose scores are rounded.
FINALS = (
    Published("rank 1", 2.55, (52945, "1061547.25"), (37646, "754802.3"), 0, 90591, 17, 0, 1949876),
    Published("rank 2", 2.09, (11787, "236329.35"), (78814, "1580220.7"), 0, 90601, 18, 0, 1937542),
    Published("rank 3", 2.18, (11312, "226805.6"), (79220, "1588361"), 0, 90612, 18, 80, 1935736),
    Published("rank 7", 2.49, (9920, "198896"), (80686, "1617754.3"), 0, 90612, 17, 6, 1919914),
    Published("4emcos-bun", 2.96, (76270, "1529213.5"), (0, "0"), 0, 90578, 16, 14308, 1649715.5238),
    Published("breno5g", 11.02, (25596, "513199.8"), (64900, "1301245"), 0, 90496, 0, 0, 1648396.314),
    Published(
        "arthur-isvi-php-swoole-v2", 3.16, (36378, "729378.9"), (20026, "401521.3"), 0, 90586, 16, 34182, 1206042.19452
    ),
    Published(
        "danielsuhett-golang-2", 2.27, (3289, "65944.45"), (63884, "1280874.2"), 24, 90616, 17, 23443, 995574.39717
    ),
    Published("ccs1201-06-native-pgo", 3.31, (56134, "1125486.7"), (320, "6416"), 3, 90597, 15, 34143, 841981.6248),
    Published("alan-silva", 5.71, (39506, "792095.3"), (0, "0"), 43, 87436, 11, 47930, 559852.95804),
)
PUBLISHED = [(PREVIEW, each) for each in PREVIEWS] + [(FINAL, each) for each in FINALS]


@pytest.mark.parametrize(
    ("game", "published"), PUBLISHED, ids=[f"{game.name} {each.entry}" for game, each in PUBLISHED]
)
def test_a_published_result_scored_again_has_its_published_score(game: Game, published: Published) -> None:
    paid = {
        name: PaidTotal(requests, Decimal(amount), game.fees[name])
        for name, (requests, amount) in (("default", published.default), ("fallback", published.fallback))
    }
    scored = score(paid, published.p99_ms, published.differences, published.accepted)
    rounded_to = 0.5 if published.entry.startswith("rank") else 0.001
    assert float(scored.points) == pytest.approx(published.points, abs=rounded_to)
    assert scored.bonus * 100 == published.bonus_percent
    assert scored.lag == published.lag
    assert scored.is_disqualified == (published.lag < 0)


def test_a_bonus_is_rounded_half_away_from_zero_as_the_event_does() -> None:
    assert [bonus(p99_ms) for p99_ms in (3.75, 1.25, 10.8, 10.76, 11, 40)] == [
        Decimal(each) for each in ("0.15", "0.20", "0.00", "0.00", "0.00", "0")
    ]
    assert bonus(10.75) == Decimal("0.01")
    assert [rounded_ms(latency_ms) for latency_ms in (1.005, 1.004999, 2.675)] == [1.01, 1.0, 2.68]


def test_any_difference_costs_the_fine_once() -> None:
    paid = {
        "default": PaidTotal(10, Decimal(100), Decimal("0.05")),
        "fallback": PaidTotal(0, Decimal(0), Decimal("0.15")),
    }
    assert [score(paid, 11, differences, 10).points for differences in (0, 1, 500)] == [95, 61.75, 61.75]


def test_the_preview_lets_one_processor_make_up_for_the_other_and_the_final_does_not() -> None:
    ours, theirs = {"default": 5, "fallback": 3}, {"default": 4, "fallback": 4}
    assert count_differences(ours, theirs, by_processor=False) == 0
    assert count_differences(ours, theirs, by_processor=True) == 2
    assert count_differences({"default": 4, "fallback": 1}, theirs, by_processor=False) == 3


@pytest.mark.parametrize("amount", ["100.005", "100.015", "100.025", "2.675", "1234567.894999"])
def test_the_verdict_and_the_figures_tell_the_same_score(amount: str) -> None:
    paid = PaidTotal(1, Decimal(amount), Decimal(0))
    game = replace(PREVIEW, name="mine")
    record = GameRecord(latencies_ms=[50.0], accepted=1, summary={"default": paid})
    told = outcome(game, record)["score"]
    assert f"; {told:,.2f} points." in judge_game(game, record).words
