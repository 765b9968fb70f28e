"""The event's stages are the event's, and random ones vary in what routing depends on."""

from ops.benchmarks.stages import DELAYS_S, DURATION_S, FINAL, PARTIAL_RATE, PREVIEW, SimulatedGame, random_games

GAMES = random_games(200, seed=7)
TABLES = [game.table for game in GAMES]


def rows(game: SimulatedGame) -> list[tuple[float, float, float, float, float]]:
    return [
        (
            each.from_s,
            each.default.delay_s,
            each.default.failure_rate,
            each.fallback.delay_s,
            each.fallback.failure_rate,
        )
        for each in game.table
    ]


def test_the_stages_of_the_preview_are_the_events() -> None:
    assert rows(PREVIEW) == [
        (0, 0, 0, 0, 0),
        (10, 0.1, 0, 0, 0),
        (20, 0.1, 1, 0, 0),
        (30, 2.0, 1, 1.0, 1),
        (40, 0.02, 0, 0.02, 0),
        (50, 0, 0, 5.0, 0),
    ]


def test_the_stages_of_the_final_are_the_events() -> None:
    assert rows(FINAL) == [
        (0, 0, 0, 0, 0),
        (30, 1.0, 0, 0, 0),
        (60, 0.5, 0, 0, 0),
        (90, 2.0, 1, 1.0, 0),
        (120, 5.0, 1, 0.005, 0),
        (150, 0, 0, 0.005, 1),
        (180, 0.1, 0, 0.005, 0),
        (210, 0.05, 0, 0, 0),
        (240, 0.103, 0, 0.01, 0),
        (270, 2.0, 0, 0, 0),
    ]


def test_the_load_of_the_final_is_the_events() -> None:
    assert 90_200 <= sum(1 for _ in FINAL.arrivals()) <= 90_700


def test_the_load_of_the_preview_is_the_events() -> None:
    moments_s = [moment_s for moment_s, _ in PREVIEW.arrivals()]
    assert 16_700 <= len(moments_s) <= 16_800
    assert min(moments_s) == 0
    assert max(moments_s) < DURATION_S
    assert 540 <= sum(moment_s >= DURATION_S - 1 for moment_s in moments_s) <= 550
    assert {user for _, user in PREVIEW.arrivals()} == set(range(550)) - {549}


def test_the_same_seed_draws_the_same_tables() -> None:
    assert random_games(5, seed=7) == GAMES[:5]
    assert random_games(5, seed=8) != GAMES[:5]


def test_random_tables_have_the_events_six_stages_and_moments_of_outages() -> None:
    for table in TABLES:
        moments_s = [stage.from_s for stage in table]
        assert moments_s == sorted(set(moments_s))
        assert {0, 10, 20, 30, 40, 50} <= set(moments_s)
        assert max(moments_s) < DURATION_S


def test_random_tables_draw_every_delay_and_failure_rate_for_both_processors() -> None:
    for name in ("default", "fallback"):
        conditions = [getattr(stage, name) for table in TABLES for stage in table]
        assert {each.delay_s for each in conditions} == set(DELAYS_S)
        assert {each.failure_rate for each in conditions} == {0, PARTIAL_RATE, 1}


def test_default_has_an_outage_in_each_table_and_some_last_to_the_end() -> None:
    assert all(any(stage.default.failure_rate == 1 for stage in table) for table in TABLES)
    lasting = sum(table[-1].default.failure_rate == 1 for table in TABLES)
    assert 30 <= lasting <= 70
