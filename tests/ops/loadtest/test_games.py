"""Ramp, stages and rules of the two games are the event's; those of the others are what their names say."""

from decimal import Decimal

import pytest

from ops.loadtest.games import FINAL, GAMES, PREVIEW, Arrival, Game, UserSpan, arrivals, ramp, spike

Row = tuple[float, float, bool, float, bool]


def rows(game: Game) -> list[Row]:
    return [
        (
            each.from_s,
            each.default.delay_s * 1000,
            each.default.failure_rate == 1,
            each.fallback.delay_s * 1000,
            each.fallback.failure_rate == 1,
        )
        for each in game.stages
    ]


def test_the_stages_of_the_preview_are_the_events() -> None:
    assert rows(PREVIEW) == [
        (0, 0, False, 0, False),
        (10, 100, False, 0, False),
        (20, 100, True, 0, False),
        (30, 2000, True, 1000, True),
        (40, 20, False, 20, False),
        (50, 0, False, 5000, False),
    ]


def test_the_stages_of_the_final_are_the_events() -> None:
    assert rows(FINAL) == [
        (0, 0, False, 0, False),
        (30, 1000, False, 0, False),
        (60, 500, False, 0, False),
        (90, 2000, True, 1000, False),
        (120, 5000, True, 5, False),
        (150, 0, False, 5, True),
        (180, 100, False, 5, False),
        (210, 50, False, 0, False),
        (240, 103, False, 10, False),
        (270, 2000, False, 0, False),
    ]


def test_amounts_fees_and_windows_are_the_events() -> None:
    assert [(game.amount, *game.fees.values()) for game in (PREVIEW, FINAL)] == [
        (Decimal("19.90"), Decimal("0.05"), Decimal("0.15")),
        (Decimal("20.05"), Decimal("0.07"), Decimal("0.10")),
    ]
    assert [(game.check_until_s, game.summary_s, game.check_step_s) for game in (PREVIEW, FINAL)] == [
        (1.5, 70, 10),
        (2.0, 360, 10),
    ]
    assert [(game.differences_by_processor, game.paid_by_ledgers) for game in (PREVIEW, FINAL)] == [
        (False, False),
        (True, True),
    ]


@pytest.mark.parametrize(
    ("game", "payments", "last_rate"), [(PREVIEW, (16_720, 16_760), 549), (FINAL, (90_560, 90_620), 602)]
)
def test_as_many_payments_arrive_as_at_the_event(game: Game, payments: tuple[int, int], last_rate: int) -> None:
    moments_s = [arrival.at_s for arrival in arrivals(game.spans)]
    assert payments[0] <= len(moments_s) <= payments[1]
    assert moments_s == sorted(moments_s)
    assert moments_s[0] == 0
    assert moments_s[-1] < game.duration_s
    assert abs(sum(moment_s >= game.duration_s - 1 for moment_s in moments_s) - last_rate) <= 2


def test_each_stage_of_the_final_gets_as_many_payments_as_at_the_event() -> None:
    counts = [0] * 10
    for arrival in arrivals(FINAL.spans):
        counts[int(arrival.at_s // 30)] += 1
    expected = [906, 2718, 4530, 6342, 8154, 9966, 11778, 13590, 15402, 17214]
    # Each user's first payment comes at once, which the published figures, areas below the ramp, leave out.
    assert counts == pytest.approx(expected, rel=0.06)


def test_a_user_pays_once_a_period_from_its_begin_to_its_end() -> None:
    assert arrivals((UserSpan(0, 2.5), UserSpan(0.5, 1))) == [
        Arrival(0, 0),
        Arrival(0.5, 1),
        Arrival(1.0015, 0),
        Arrival(2.003, 0),
    ]


def test_users_come_evenly() -> None:
    assert [span.begin_s for span in ramp(4, 60)] == [0, 20, 40, 60]
    assert {span.end_s for span in ramp(4, 60)} == {60}
    assert ramp(1, 60) == (UserSpan(0, 60),)


def test_a_spike_goes_from_ten_users_to_five_hundred_at_once_and_back() -> None:
    spans = spike(500, 60)

    def present(at_s: float) -> int:
        return sum(span.begin_s <= at_s < span.end_s for span in spans)

    assert [present(at_s) for at_s in (0, 19.99, 20, 39.99, 40, 59.99)] == [1, 10, 500, 500, 10, 10]


def test_in_flap_one_processor_works_at_any_time_and_both_at_the_end() -> None:
    stages = GAMES["flap"].stages
    failing = [(stage.default.failure_rate, stage.fallback.failure_rate) for stage in stages]
    assert failing == [(1, 0), (0, 1)] * 9 + [(1, 0), (0, 0)]
    assert [stage.from_s for stage in stages] == [3.0 * number for number in range(20)]


def test_in_edge_charges_take_as_long_as_checks_reach_back() -> None:
    game = GAMES["edge"]
    assert [stage.default.delay_s for stage in game.stages] == [game.check_until_s]


def test_in_down_default_never_works_and_in_calm_both_always() -> None:
    assert rows(GAMES["down"]) == [(0, 0, True, 0, False)]
    assert rows(GAMES["calm"]) == [(0, 0, False, 0, False)]


def test_a_resized_game_has_its_stages_spread_alike() -> None:
    small = FINAL.resized(20, 30)
    assert [stage.from_s for stage in small.stages] == pytest.approx([3 * number for number in range(10)])
    assert (small.users, small.duration_s, len(small.spans)) == (20, 30, 20)
    assert FINAL.resized(None, None) == FINAL


@pytest.mark.parametrize("seconds", [4, 60, 600])
def test_the_last_summary_of_a_resized_game_covers_it_and_nothing_from_long_before(seconds: float) -> None:
    assert PREVIEW.resized(None, seconds).summary_s == seconds + 10
