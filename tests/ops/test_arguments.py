"""Numbers from command lines are read as they are meant, or refused in words."""

import argparse

import pytest

from ops.arguments import http_address, positive_count, positive_number


def test_numbers_above_zero_are_read() -> None:
    assert (positive_number("0.5"), positive_number("1e3"), positive_count("12")) == (0.5, 1000.0, 12)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "x", ""])
def test_what_is_no_number_above_zero_is_refused(text: str) -> None:
    for read in (positive_number, positive_count):
        with pytest.raises(argparse.ArgumentTypeError, match="is no number above 0"):
            read(text)


def test_a_part_of_a_whole_is_no_count() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is no whole number"):
        positive_count("1.5")


@pytest.mark.parametrize("text", ["localhost:19999", "localhost", "https://localhost", "http://", "http://a:b", ""])
def test_an_address_needs_http_and_a_host(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="needs http://"):
        http_address(text)
    assert http_address("http://localhost:9999") == "http://localhost:9999"
