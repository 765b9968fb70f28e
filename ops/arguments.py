"""Reads numbers from command lines, for argparse."""

import argparse
import math


def positive_number(text: str) -> float:
    """Read a number above zero.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return number


def positive_count(text: str) -> int:
    """Read a whole number above zero.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    number = positive_number(text)
    if not number.is_integer():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number")
    return int(number)
