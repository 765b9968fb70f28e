"""Makes parsers of command lines, whose --help has the same parts for every command, and reads common arguments."""

import argparse
import math
import os
import textwrap
from collections.abc import Mapping
from decimal import Decimal, DecimalException
from urllib.parse import urlsplit

HELP_COLUMNS = 110
PORT_MAX = 65535
EXIT_STATUSES = {
    2: "wrong usage: nothing was done",
    3: "it could not run or finish, and one line says why",
    130: "interrupted by Ctrl-C or a signal",
}
"""The exit statuses that mean the same for every command; 0 and 1 have a meaning for each."""


def make_parser(
    command: str, purpose: str, *, kept: str, broken: str, takes: str, examples: Mapping[str, str], notes: str = ""
) -> argparse.ArgumentParser:
    """Make the parser of a command, with a --help that people need no other document for.

    Args:
        command: what a person types.
        purpose: what the command is for, in sentences.
        kept: what exit status 0 means.
        broken: what exit status 1 means.
        takes: how long the command takes.
        examples: command lines, and what each is for.
        notes: what else there is to know.
    """
    statuses = {0: kept, 1: broken, **EXIT_STATUSES}
    parts = [
        "examples:\n" + "\n".join(_lay_out(examples)),
        _fill(f"how long it takes: {takes}"),
        "exit status:\n" + "\n".join(_fill(f"{status:>5}  {words}", 9) for status, words in statuses.items()),
        _fill(notes),
    ]
    return argparse.ArgumentParser(
        prog=command,
        description=_fill(purpose),
        epilog="\n\n".join(filter(None, parts)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_json_option(parser: argparse.ArgumentParser, what: str = "the result as one line of JSON") -> None:
    """Add the option --json, which means the same for every command."""
    parser.add_argument("--json", action="store_true", help=f"print {what}, and nothing else, on standard output")


def _lay_out(examples: Mapping[str, str]) -> list[str]:
    """Write the purpose of each example behind it, or above it if one of the lines would be too long."""
    width = max(map(len, examples))
    beside = [f"  {line:{width}}  # {why}" for line, why in examples.items()]
    if max(map(len, beside)) <= HELP_COLUMNS:
        return beside
    return [f"  # {why}\n  {line}" for line, why in examples.items()]


def _fill(text: str, indent: int = 0) -> str:
    return textwrap.fill(text, HELP_COLUMNS, subsequent_indent=" " * indent)


def read_database_url(parser: argparse.ArgumentParser) -> str:
    """Read the variable DATABASE_URL; without one it is wrong usage, and no database is guessed."""
    database_url = os.environ.get("DATABASE_URL")
    if not database_url:
        parser.error("DATABASE_URL is not set: name a database, as in postgresql://user:password@host/name")
    return database_url


def http_address(text: str) -> str:
    """Read the address of a server that speaks plain HTTP.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    parts = urlsplit(text)
    try:
        is_address = parts.scheme == "http" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        raise argparse.ArgumentTypeError(f"{text!r} needs http://, a host and its port, as in http://localhost:9999")
    return text


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


def port_number(text: str) -> int:
    """Read a port.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    if not text.isdecimal() or not 0 < int(text) <= PORT_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is no port from 1 to {PORT_MAX}")
    return int(text)


def two_ports(text: str) -> tuple[int, int]:
    """Read two ports, as `port_number` does."""
    first, comma, second = text.partition(",")
    if not comma:
        raise argparse.ArgumentTypeError(f"{text!r} is one port, and two are needed, as in 8001,8002")
    return port_number(first), port_number(second)


def two_fees(text: str) -> tuple[Decimal, Decimal]:
    """Read two shares of an amount.

    Raises:
        argparse.ArgumentTypeError: they are none.
    """
    try:
        first, second = map(Decimal, text.split(","))
    except (ValueError, DecimalException) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not two shares of an amount, as in 0.05,0.15") from error
    return first, second
