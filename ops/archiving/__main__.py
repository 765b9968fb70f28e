"""Archives old settlements: `ops/archive`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ops.arguments import add_json_option, make_parser, positive_number, read_database_url
from ops.foreground import interrupt_on_end_signals, run_command

COMMAND = "ops/archive"
DAYS_DEFAULT = 90
SPAN_DAYS_DEFAULT = 7


def parse_archiving(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(
        COMMAND,
        "Move settlements that are older than some days out of the database at DATABASE_URL into files, a partition at "
        "a time, while the gateway goes on. Run it every day: it also begins a new partition each week. Sums stay, ids "
        "stay known and are never charged again. It may be killed and run again at any time.",
        kept="everything that is old enough is archived",
        broken="is not used",
        takes="some 20 s for a million settlements",
        examples={
            f"{COMMAND} --folder /srv/archive": "archive what is older than 90 days",
            f"{COMMAND} --older-than 30 --keep": "only detach: the tables stay in the database",
            f"{COMMAND} --restore /srv/archive/settlements-….csv.gz": "make the latest archive a partition again",
        },
        notes="A file is CSV with a header, compressed by gzip; the manifest beside it has its checksum, its totals "
        "and its bounds.",
    )
    parser.add_argument("--folder", type=Path, help="where files are written")
    parser.add_argument(
        "--older-than",
        type=positive_number,
        default=DAYS_DEFAULT,
        metavar="DAYS",
        help="their least age; default: %(default)s",
    )
    parser.add_argument(
        "--span",
        type=positive_number,
        default=SPAN_DAYS_DEFAULT,
        metavar="DAYS",
        help="how many days a new partition covers; default: %(default)s",
    )
    parser.add_argument("--keep", action="store_true", help="detach only, and write no file")
    parser.add_argument(
        "--restore", type=Path, metavar="FILE", help="put back the latest archive: its file, or its table if it is kept"
    )
    add_json_option(parser)
    given = parser.parse_args(arguments)
    if [given.folder is not None, given.keep, given.restore is not None].count(True) != 1:
        parser.error("one of --folder, --keep and --restore is needed")
    if given.folder is not None and not given.folder.is_dir():
        parser.error(f"--folder {given.folder} is no folder")
    given.database_url = read_database_url(parser)
    return given


def main(arguments: Sequence[str] | None = None) -> int:
    """Archive, and tell what was archived."""
    given = parse_archiving(sys.argv[1:] if arguments is None else arguments)
    # Imported here, so that --help is answered before any package is installed.
    from ops.archiving.run import archive_or_restore  # noqa: PLC0415

    return run_command(COMMAND, lambda: archive_or_restore(COMMAND, given))


if __name__ == "__main__":
    interrupt_on_end_signals()
    sys.exit(main())
