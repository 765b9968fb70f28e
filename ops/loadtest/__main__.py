"""`python -m ops.loadtest`, which is `ops/load`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ops.arguments import add_json_option, make_parser, positive_count, positive_number
from ops.foreground import run_command
from ops.loadtest.games import GAMES, PUBLIC_TOKEN

COMMAND = "ops/load"
THEIR_LOADS = (
    "preview and final are the event's; calm: both processors work; flap: they fail in turns; down: default fails; "
    "edge: charges take as long as checks reach back; spike: most users begin at once"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Play a game; return 0 if every payment was accepted and paid in time and no check differed, else 1."""
    given = _parse(arguments)
    game = GAMES[given.game].resized(given.users, given.seconds)
    # Imported here, so that --help is answered before any package is installed.
    from ops.loadtest.play import play  # noqa: PLC0415

    return run_command(COMMAND, lambda: play(game, given))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = make_parser(
        COMMAND,
        "Play one of the event's games, or another, against a running gateway. A game is a load with the event's "
        "checks and score. Before the game it deletes all payments of the gateway and the processors' books: never "
        "name any that are in use.",
        kept="every payment was accepted and paid in time, and no summary differed",
        broken="a payment was refused or late, a summary differed, or a processor could not be set back",
        takes="as long as the game: final five minutes, the others one; --seconds changes it",
        examples={
            "ALLOW_PURGE=1 ops/up --fresh": "first, in another terminal",
            "ops/load preview": "the event's first game",
            "ops/load final --json --report final.html": "for scripts, with a page of pictures",
            "ops/load calm --users 50 --seconds 10": "something short",
        },
        notes="A gateway of this project has to be started with ALLOW_PURGE=1; one without a purge is played "
        "against as it is. The simulated processors of ops/up take over the game's fees.",
    )
    parser.add_argument("game", choices=GAMES, help=THEIR_LOADS)
    parser.add_argument("--url", default="http://127.0.0.1:9999", help="the gateway's address; default: %(default)s")
    parser.add_argument(
        "--default", default="http://127.0.0.1:8001", help="address of the processor default; default: %(default)s"
    )
    parser.add_argument(
        "--fallback", default="http://127.0.0.1:8002", help="address of the processor fallback; default: %(default)s"
    )
    parser.add_argument("--token", default=PUBLIC_TOKEN, help="the processors' token; default: %(default)s")
    parser.add_argument("--users", type=positive_count, help="users, instead of the game's own number")
    parser.add_argument(
        "--seconds", type=positive_number, help="duration, instead of the game's own; its stages are scaled with it"
    )
    add_json_option(parser)
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="write a page with pictures; FILE.svg: the pictures alone"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
