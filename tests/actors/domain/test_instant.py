"""Instants are milliseconds, and every form in which the world writes them is read exactly."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actors.domain.instant import Rounding, iso_from_ms, ms_from_iso

INSTANT_MS = 1_752_582_896_700
"""2025-07-15T12:34:56.700Z"""
FIRST_MS, LAST_MS = -62_135_596_800_000, 253_402_300_799_999
"""From the year 1 to the last millisecond of the year 9999."""

instants_ms = st.integers(FIRST_MS, LAST_MS)
zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@settings(deadline=None)
@given(instants_ms)
@example(FIRST_MS)
@example(LAST_MS)
@example(-1)
def test_an_instant_survives_the_way_to_text_and_back(instant_ms: int) -> None:
    assert ms_from_iso(iso_from_ms(instant_ms)) == instant_ms


def test_an_instant_is_written_in_utc_with_three_decimals() -> None:
    assert [iso_from_ms(instant_ms) for instant_ms in (0, -1, INSTANT_MS, INSTANT_MS + 300, INSTANT_MS - 699)] == [
        "1970-01-01T00:00:00.000Z",
        "1969-12-31T23:59:59.999Z",
        "2025-07-15T12:34:56.700Z",
        "2025-07-15T12:34:57.000Z",
        "2025-07-15T12:34:56.001Z",
    ]


@settings(deadline=None)
@given(st.integers(0, 4_102_444_800_000))
def test_an_instant_without_zone_and_trailing_zeros_is_utc(instant_ms: int) -> None:
    date_and_time, _, fraction = iso_from_ms(instant_ms).removesuffix("Z").partition(".")
    as_a_processor_writes_it = f"{date_and_time}.{fraction}".rstrip("0").rstrip(".") if int(fraction) else date_and_time
    assert ms_from_iso(as_a_processor_writes_it) == instant_ms


@settings(deadline=None)
@given(st.datetimes(datetime(2, 1, 1), datetime(9999, 1, 1)), zones)  # noqa: DTZ001  # zones come beside
def test_a_zone_is_heeded_and_a_finer_fraction_rounded_down_or_up(local: datetime, zone: timezone) -> None:
    moment = local.replace(tzinfo=zone)
    microseconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert ms_from_iso(moment.isoformat()) == microseconds // 1000
    assert ms_from_iso(moment.isoformat(), Rounding.UP) == -(-microseconds // 1000)


@pytest.mark.parametrize(
    ("text", "down_ms", "up_ms"),
    [
        ("2025-07-15T12:34:56.7", INSTANT_MS, INSTANT_MS),
        ("2025-07-15T12:34:56.70", INSTANT_MS, INSTANT_MS),
        ("2025-07-15T12:34:56.700Z", INSTANT_MS, INSTANT_MS),
        ("2025-07-15t12:34:56.700z", INSTANT_MS, INSTANT_MS),
        ("2025-07-15T14:34:56.7+02:00", INSTANT_MS, INSTANT_MS),
        ("2025-07-15T12:34:56", INSTANT_MS - 700, INSTANT_MS - 700),
        ("2025-07-15T12:34", INSTANT_MS - 56_700, INSTANT_MS - 56_700),
        ("2025-07-15T12:34:56.7001Z", INSTANT_MS, INSTANT_MS + 1),
        ("2025-07-15T12:34:56.700999Z", INSTANT_MS, INSTANT_MS + 1),
        ("2025-07-15T12:34:56.7000001Z", INSTANT_MS, INSTANT_MS + 1),
        ("2025-07-15T12:34:56.700000001", INSTANT_MS, INSTANT_MS + 1),
        ("2025-07-15T12:34:56.699999999Z", INSTANT_MS - 1, INSTANT_MS),
        ("2025-07-15T12:34:56.700000000Z", INSTANT_MS, INSTANT_MS),
        ("1969-12-31T23:59:59.9995Z", -1, 0),
    ],
)
def test_every_form_is_read_to_the_millisecond(text: str, down_ms: int, up_ms: int) -> None:
    assert (ms_from_iso(text), ms_from_iso(text, Rounding.UP)) == (down_ms, up_ms)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "T",
        "2025-07-15",
        "20250715",
        "1752582896700",
        "12:34:56",
        "2025-07-15 12:34:56",
        "2025-13-01T00:00:00Z",
        "2025-02-29T00:00:00Z",
        "2025-07-15T24:00:01Z",
        "2025-07-15T12:34:60Z",
        "2025-07-15T12:34:56+25:00",
        "2025-07-15T12:34:56ZZ",
        "2025-07-15T12:34:56.7Z and more",
        "0000-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "yesterday at Ten",
        "\ud800T\x00",
    ],
)
def test_what_is_no_date_and_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the messages are the library's
        ms_from_iso(text)


iso_like = st.from_regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?([.,]\d+)?")


@settings(deadline=None)
@given(st.one_of(st.text(), st.text("0123456789-:.,+TZ"), iso_like))
def test_no_text_raises_anything_but_a_value_error(text: str) -> None:
    with suppress(ValueError):
        assert isinstance(ms_from_iso(text), int)


def test_a_date_without_a_time_is_refused_in_words_that_say_what_is_wanted() -> None:
    with pytest.raises(ValueError, match=r"^must be an ISO 8601 date and time$"):
        ms_from_iso("2025-07-15")
