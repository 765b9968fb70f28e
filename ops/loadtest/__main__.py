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

from ops import OpsError
from ops.arguments import positive_count, positive_number
from ops.loadtest.books import PUBLIC_TOKEN
from ops.loadtest.games import GAMES, Game
from ops.loadtest.outcome import Figures, is_flawless, outcome
from ops.loadtest.player import Player
from ops.loadtest.progress import GameWatch
from ops.loadtest.report import page, pictures
from ops.loadtest.usage_notes import PartUsage, read_usage_notes

SHOWN = (
    *("score", "profit", "bonus", "fine", "disqualified", "p50_ms", "p95_ms", "p99_ms", "max_ms"),
    *("asked", "failed", "paid", "lag", "differences", "checks", "slowest_summary_ms", "statuses", "purged"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Play a game; 0 where every payment was accepted and paid in time and no check differed, else 1."""
    given = _parse(arguments)
    game = GAMES[given.game].resized(given.users, given.seconds)
    try:
        with tempfile.TemporaryDirectory(prefix="fiel-load-") as folder:
            return _play(game, given, Path(folder) / "usage.jsonl")
    except OpsError as error:
        print(f"ops/load: {error}", file=sys.stderr)  # noqa: T201 - what a command shows
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("ops/load: interrupted", file=sys.stderr)  # noqa: T201 - the same
        return 128 + signal.SIGINT


def _play(game: Game, given: argparse.Namespace, notes: Path) -> int:
    urls = {"default": given.default, "fallback": given.fallback}
    if given.report:
        _write(given.report, "a", "")  # Else only the end of the game would show that it cannot be written.
    player = Player(game, given.url, urls, given.token)
    watch = GameWatch(player, given.url, urls, _say)
    _say(f"live page: {given.url.rstrip('/')}/")
    with _sampling(given.url, notes), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        gc.freeze()
        gc.disable()  # A pass over the records of all payments would delay those that are sent meanwhile.
        runner.run(_play_watched(player, watch))
    gc.enable()
    usage = read_usage_notes(notes, player.began_s)
    figures = {**outcome(game, player.record), "parts": _describe(usage, player.record.accepted)}
    print(json.dumps(figures) if given.json else "\n".join(_lines(figures)), flush=True)  # noqa: T201 - the result
    if given.report:
        draw = pictures if given.report.suffix == ".svg" else page
        _write(given.report, "w", draw(game, player.record, watch.moments, usage, figures))
    return 0 if is_flawless(game, player.record) and not player.not_restored else 1


def _write(report: Path, mode: str, text: str) -> None:
    try:
        with report.open(mode) as file:
            file.write(text)
    except OSError as error:
        raise OpsError(f"--report {report}: {error.strerror}") from error


async def _play_watched(player: Player, watch: GameWatch) -> None:
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
            _say(f"ops/load: not restored: {failure}")


@contextlib.contextmanager
def _sampling(url: str, notes: Path) -> Iterator[None]:
    """Note in a process of its own what the gateway uses, where it runs on this machine."""
    command = [sys.executable, "-m", "ops.loadtest.sampler", str(urlsplit(url).port or 80), str(notes)]
    # A group of its own: Ctrl-C interrupts the player alone, which then ends it.
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


def _lines(figures: Figures) -> list[str]:
    lines = [f"{name:20} {figures[name]}" for name in SHOWN]
    for name in ("differing_checks", "unanswered_checks", "stages"):
        told = figures[name]
        assert isinstance(told, list)  # noqa: S101 - `outcome` made it
        lines += [f"{name:20} {json.dumps(each)}" for each in told]
    parts = figures["parts"]
    assert isinstance(parts, dict)  # noqa: S101 - `_describe` made it
    return lines + [f"{name:20} {json.dumps(each)}" for name, each in parts.items()]


def _say(line: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        print(line, file=sys.stderr, flush=True)  # noqa: T201 - progress for the person who waits


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="ops/load",
        description="Play one of the event's games, or another, against a running gateway. Exit status 0: every "
        "payment was accepted and paid in time, and no summary differed. Progress goes to standard error.",
        epilog="For `ops/up`: ALLOW_PURGE=1 ops/up --fresh. Its simulated processors take over the game's fees.",
    )
    parser.add_argument("game", choices=GAMES)
    parser.add_argument("--url", default="http://127.0.0.1:9999", help="of the gateway; default: %(default)s")
    parser.add_argument("--default", default="http://127.0.0.1:8001", help="the processor's; default: %(default)s")
    parser.add_argument("--fallback", default="http://127.0.0.1:8002", help="the processor's; default: %(default)s")
    parser.add_argument("--token", default=PUBLIC_TOKEN, help="of the processors; default: %(default)s")
    parser.add_argument("--users", type=positive_count, help="instead of the game's own")
    parser.add_argument("--seconds", type=positive_number, help="instead of the game's own; stages are spread alike")
    parser.add_argument("--json", action="store_true", help="print the result as one line of JSON")
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="write a page with pictures; FILE.svg: the pictures alone"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
