"""The event's stages are the event's, and random ones vary in what routing depends on."""

from ops.benchmarks.stages import DELAYS_S, DURATION_S, EVENT, PARTIAL_RATE, arrivals, random_tables

TABLES = random_tables(200, seed=7)


def test_the_stages_are_the_events() -> None:
    rows = [
        (
            each.from_s,
            each.default.delay_s,
            each.default.failure_rate,
            each.fallback.delay_s,
            each.fallback.failure_rate,
        )
        for each in EVENT
    ]
    assert rows == [
        (0, 0, 0, 0, 0),
        (10, 0.1, 0, 0, 0),
        (20, 0.1, 1, 0, 0),
        (30, 2.0, 1, 1.0, 1),
        (40, 0.02, 0, 0.02, 0),
        (50, 0, 0, 5.0, 0),
    ]


def test_the_load_is_the_events() -> None:
    moments_s = [moment_s for moment_s, _ in arrivals()]
    assert 16_700 <= len(moments_s) <= 16_800
    assert min(moments_s) == 0
    assert max(moments_s) < DURATION_S
    assert 540 <= sum(moment_s >= DURATION_S - 1 for moment_s in moments_s) <= 550
    assert {user for _, user in arrivals()} == set(range(550)) - {549}


def test_the_same_seed_draws_the_same_tables() -> None:
    assert random_tables(5, seed=7) == TABLES[:5]
    assert random_tables(5, seed=8) != TABLES[:5]


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
