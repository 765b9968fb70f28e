"""What `ops/load` does once its command line is read."""

import argparse
import asyncio
import contextlib
import gc
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

from ops import ExitStatus
from ops.console import Console
from ops.loadtest.games import Game
from ops.loadtest.outcome import Figures, judge_game, outcome
from ops.loadtest.player import Player
from ops.loadtest.progress import GameWatch
from ops.loadtest.report import page, pictures
from ops.loadtest.usage_notes import PartUsage, read_usage_notes
from ops.report_file import check_report, write_report

SHOWN = (
    *("score", "profit", "bonus", "fine", "disqualified", "p50_ms", "p95_ms", "p99_ms", "max_ms"),
    *("asked", "failed", "paid", "lag", "differences", "checks", "slowest_summary_ms", "statuses", "purged"),
)


def play(game: Game, given: argparse.Namespace) -> ExitStatus:
    """Play a game as the command line says, and tell what came of it.

    Raises:
        OpsError: it could not be played.
    """
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
