"""`python -m ops.loadtest`, which is `ops/load`."""

import argparse
import asyncio
import contextlib
import gc
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

from ops import ExitStatus
from ops.arguments import add_json_option, make_parser, positive_count, positive_number
from ops.console import Console
from ops.foreground import run_command
from ops.loadtest.books import PUBLIC_TOKEN
from ops.loadtest.games import GAMES, Game
from ops.loadtest.outcome import Figures, judge_game, outcome
from ops.loadtest.player import Player
from ops.loadtest.progress import GameWatch
from ops.loadtest.report import page, pictures
from ops.loadtest.usage_notes import PartUsage, read_usage_notes
from ops.report_file import check_report, write_report

COMMAND = "ops/load"
SHOWN = (
    *("score", "profit", "bonus", "fine", "disqualified", "p50_ms", "p95_ms", "p99_ms", "max_ms"),
    *("asked", "failed", "paid", "lag", "differences", "checks", "slowest_summary_ms", "statuses", "purged"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Play a game; return 0 if every payment was accepted and paid in time and no check differed, else 1."""
    given = _parse(arguments)
    game = GAMES[given.game].resized(given.users, given.seconds)
    return run_command(COMMAND, lambda: _play(game, given))


def _play(game: Game, given: argparse.Namespace) -> ExitStatus:
    urls = {"default": given.default, "fallback": given.fallback}
    check_report(given.report)
    console = Console(as_json=given.json)
    player = Player(game, given.url, urls, given.token)
    watch = GameWatch(player, given.url, urls, console)
    with tempfile.TemporaryDirectory(prefix="fiel-load-") as folder:
        notes = Path(folder) / "usage.jsonl"
        try:
            with _sampling(given.url, notes), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                gc.freeze()
                gc.disable()  # A pass over the records of all payments would delay those that are sent meanwhile.
                runner.run(_play_watched(player, watch, console))
        except asyncio.CancelledError as error:
            raise KeyboardInterrupt from error
        finally:
            gc.enable()
            console.end()
        usage = read_usage_notes(notes, player.began_s)
    figures = {**outcome(game, player.record), "parts": _describe(usage, player.record.accepted)}
    verdict = judge_game(game, player.record, player.not_restored)
    rows = [*_rows(figures), *((name, part.in_words(player.record.accepted)) for name, part in usage.items())]
    status = console.conclude(verdict, rows, figures)
    if given.report:
        draw = pictures if given.report.suffix == ".svg" else page
        write_report(given.report, draw(game, player.record, watch.moments, usage, figures))
    return status


async def _play_watched(player: Player, watch: GameWatch, console: Console) -> None:
    playing = asyncio.current_task()
    assert playing is not None  # noqa: S101 - this is a task
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, playing.cancel)
    watching = asyncio.create_task(watch.watch())
    try:
        await player.play()
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        for failure in player.not_restored:
            console.say(f"ops/load: not restored: {failure}")


@contextlib.contextmanager
def _sampling(url: str, notes: Path) -> Iterator[None]:
    """Note in a separate process what the gateway uses, if it runs on this machine."""
    command = [sys.executable, "-m", "ops.loadtest.sampler", str(urlsplit(url).port or 80), str(notes)]
    # The sampler has a process group of its own: Ctrl-C interrupts the player alone, which then ends the sampler.
    sampler = subprocess.Popen(command, process_group=0)  # noqa: S603 - our own
    try:
        yield
    finally:
        sampler.terminate()
        sampler.wait()


def _describe(usage: dict[str, PartUsage], accepted: int) -> Figures:
    return {
        name: {
            "peak_mb": round(part.peak_mb, 1),
            "limit_mb": part.mb_max,
            "cpu_s": round(part.cpu_s, 2),
            "cpu_ms_per_payment": round(part.cpu_ms_each(accepted), 3),
            "limit_cpus": part.cpus_max,
            "throttled_share": None if part.throttled_share is None else round(part.throttled_share, 4),
        }
        for name, part in usage.items()
    }


def _rows(figures: Figures) -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = [(name, figures[name]) for name in SHOWN]
    for name in ("differing_checks", "unanswered_checks", "stages"):
        told = figures[name]
        assert isinstance(told, list)  # noqa: S101 - `outcome` made it
        rows += [(name, json.dumps(each)) for each in told]
    return rows


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = make_parser(
        COMMAND,
        "Play one of the event's games, or another, against a running gateway, with the event's checks and score. "
        "Before the game it deletes all payments of the gateway and the processors' books: never name any that are in "
        "use.",
        kept="every payment was accepted and paid in time, and no summary differed",
        broken="a payment was not, a summary differed, or a processor could not be set back",
        takes="as long as the game: final five minutes, the others one; --seconds changes it",
        examples={
            "ALLOW_PURGE=1 ops/up --fresh": "first, in another terminal",
            "ops/load preview": "the event's first game",
            "ops/load final --json --report final.html": "for scripts, with a page of pictures",
            "ops/load calm --users 50 --seconds 10": "something short",
        },
        notes="A gateway of this project has to be started with ALLOW_PURGE=1; one that knows no purge is played "
        "against as it is. The simulated processors of ops/up take over the game's fees.",
    )
    parser.add_argument("game", choices=GAMES)
    parser.add_argument("--url", default="http://127.0.0.1:9999", help="of the gateway; default: %(default)s")
    parser.add_argument("--default", default="http://127.0.0.1:8001", help="the processor's; default: %(default)s")
    parser.add_argument("--fallback", default="http://127.0.0.1:8002", help="the processor's; default: %(default)s")
    parser.add_argument("--token", default=PUBLIC_TOKEN, help="of the processors; default: %(default)s")
    parser.add_argument("--users", type=positive_count, help="instead of the game's own")
    parser.add_argument("--seconds", type=positive_number, help="instead of the game's own; stages are spread alike")
    add_json_option(parser)
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="write a page with pictures; FILE.svg: the pictures alone"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
