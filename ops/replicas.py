"""`python -m ops.replicas`, which is `ops/replicas`."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from actors.domain.lease_watch import LEASE_S
from ops import ExitStatus
from ops.arguments import add_json_option, make_parser, read_database_url
from ops.console import Console, RunVerdict
from ops.foreground import run_command

COMMAND = "ops/replicas"

LIST = """
SELECT
    name, claims,
    CASE
        WHEN left_epoch < epoch THEN 'lives'
        WHEN emptied_beats = beats THEN 'left with nothing'
        ELSE 'gone'
    END AS state
FROM replica, LATERAL (SELECT count(*) AS claims FROM claim WHERE owner = replica.name) AS its ORDER BY name
"""
# A living replica is not given up by this: others have to have ended its lease before.
GIVE_UP = "UPDATE replica SET emptied_beats = beats WHERE name = %(name)s AND left_epoch >= epoch RETURNING name"
UNSEEN = (
    f"still has its lease, or no other replica has seen it stand still for {LEASE_S:.0f} s yet:"
    f" try again in {LEASE_S:.0f} s"
)
MEANINGS = {
    "lives": "it has a lease",
    "left with nothing": "no replica waits for it",
    "gone": "its journal may have payments: unknown ids are answered 503 until it is back",
}


@dataclass(frozen=True, slots=True)
class RegisteredReplica:
    """One replica, as Postgres has it."""

    name: str
    claims: int
    state: str


def parse_replicas(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(
        COMMAND,
        "List the replicas: which are alive, which have left with an empty journal, and which are gone and may have "
        "payments in their journals. If a journal is lost for good, record that with --gone.",
        kept="they are listed, or the loss is recorded",
        broken="the replica is alive, or unknown",
        takes="less than a second",
        examples={
            COMMAND: "lists them",
            f"{COMMAND} --gone fiel-3-0a1b2c3d": "its host, or its disk, never comes back",
        },
        notes="DATABASE_URL names the database. Payments that have a row are taken over by others in any case. "
        "A replica that comes back after all brings its journal, and is waited for again.",
    )
    parser.add_argument("--gone", metavar="NAME", help="record that the journal of this replica is lost for good")
    add_json_option(parser)
    given = parser.parse_args(arguments)
    given.database_url = read_database_url(parser)
    return given


def main(arguments: Sequence[str] | None = None) -> int:
    """List the replicas, or note that one is gone."""
    given = parse_replicas(sys.argv[1:] if arguments is None else arguments)
    return run_command(COMMAND, lambda: _run(given))


def _run(given: argparse.Namespace) -> ExitStatus:
    # Imported here, so that --help is answered before any package is installed.
    from psycopg.rows import class_row  # noqa: PLC0415

    from ops.database import connected  # noqa: PLC0415

    with connected(given.database_url, COMMAND) as connection:
        noted = given.gone is None or connection.execute(GIVE_UP, {"name": given.gone}).fetchone() is not None
        replicas = connection.cursor(row_factory=class_row(RegisteredReplica)).execute(LIST).fetchall()
    gone = [each.name for each in replicas if each.state == "gone"]
    if given.gone is None:
        words = f"Gone, perhaps with payments in their journals: {', '.join(gone)}." if gone else "None is missing."
    elif noted:
        words = f"Recorded: no replica waits for {given.gone} any more."
    else:
        is_known = any(each.name == given.gone for each in replicas)
        reason = UNSEEN if is_known else "is not known"
        words = f"Refused: {given.gone} {reason}."
    rows = [(each.name, f"{each.state}, {each.claims} claims: {MEANINGS[each.state]}") for each in replicas]
    document = {"replicas": [asdict(each) for each in replicas], "gone": gone}
    return Console(as_json=given.json).conclude(RunVerdict(words, kept=noted), rows, document)


if __name__ == "__main__":
    sys.exit(main())
