"""`python -m ops.reconciliation`, which is `ops/reconcile`."""

import argparse
import sys
from collections.abc import Sequence

from actors.domain.instant import Rounding, ms_from_iso
from actors.domain.money import BRL
from ops.arguments import add_json_option, make_parser, read_database_url
from ops.foreground import run_command

COMMAND = "ops/reconcile"


def parse_reconciliation(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(
        COMMAND,
        "Compare processors' books with the settlements in the database at DATABASE_URL, and list each difference. "
        "With --record, charges that Postgres does not have are recorded, as after a restore.",
        kept="the books agree, or what was missing is recorded",
        broken="there are differences",
        takes="some 20 s for a million charges",
        examples={
            f"{COMMAND} default=default.jsonl fallback=fallback.jsonl": "compare two whole books",
            f"{COMMAND} default=default.jsonl --from 2025-07-15T00:00:00Z --to 2025-07-16T00:00:00Z": "compare one day",
            f"{COMMAND} default=default.jsonl fallback=fallback.jsonl --record": "record what Postgres has lost",
        },
        notes='A book has one charge a line: {"correlationId": …, "amount": 19.90, "requestedAt": …}, and the currency '
        "where it is not the default one.",
    )
    parser.add_argument("books", nargs="+", metavar="PROCESSOR=FILE", help="a processor's name, and its book")
    parser.add_argument("--from", dest="since", metavar="INSTANT", help="leave out earlier charges")
    parser.add_argument(
        "--to", dest="until", metavar="INSTANT", help="leave out later charges; default: the books' last"
    )
    parser.add_argument("--record", action="store_true", help="record the charges that are missing in Postgres")
    add_json_option(parser)
    parser.add_argument("--currency", default=BRL, help=f"the gateway's default currency; default: {BRL}")
    given = parser.parse_args(arguments)
    try:
        given.from_ms = 0 if given.since is None else ms_from_iso(given.since, Rounding.UP)
        given.to_ms = 2**62 if given.until is None else ms_from_iso(given.until)
    except ValueError as error:
        parser.error(f"--from and --to: {error}")
    if not all(name and file for name, _, file in (book.partition("=") for book in given.books)):
        parser.error("each book is given as PROCESSOR=FILE")
    given.database_url = read_database_url(parser)
    return given


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, and tell what differs."""
    given = parse_reconciliation(sys.argv[1:] if arguments is None else arguments)
    # Imported here, so that --help is answered before any package is installed.
    from ops.book_comparison import compare_books  # noqa: PLC0415

    return run_command(COMMAND, lambda: compare_books(COMMAND, given))


if __name__ == "__main__":
    sys.exit(main())
