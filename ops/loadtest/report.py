"""Writes the result of a game as one HTML page that needs no other file, or its pictures alone as one SVG file."""

import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise

from ops.loadtest.games import Game
from ops.loadtest.latencies import by_second
from ops.loadtest.outcome import Figures, describe_condition
from ops.loadtest.player import GameRecord
from ops.loadtest.progress import GameMoment
from ops.loadtest.svg import CHART_STYLE, Line, Point, Shade, chart, stack
from ops.loadtest.usage_notes import PartUsage

STYLE = (
    "body{font:14px/1.5 system-ui,sans-serif;margin:2em auto;max-width:960px;color:#1f2328}"
    "table{border-collapse:collapse;margin:1em 0}td,th{padding:2px 12px 2px 0;text-align:right}"
    "td:first-child,th:first-child{text-align:left}svg{width:100%;margin:.6em 0}"
    f"{CHART_STYLE}"
    "pre{background:#f6f8fa;padding:1em;overflow:auto}"
)
HEADLINES = ("score", "p50_ms", "p99_ms", "bonus", "fine", "accepted", "failed", "lag", "differences")
LATENCIES = ("p50", "p95", "p99", "max")


def page(
    game: Game, record: GameRecord, moments: Sequence[GameMoment], usage: Mapping[str, PartUsage], figures: Figures
) -> str:
    """Make the page: the figures, pictures over time with the stages shaded, latencies by stage, and all as JSON."""
    title = f"{game.name}: {_points(figures)}"
    drawn = "".join(_charts(game, record, moments, usage))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
        f"<h1>{escape(title)}</h1>{_table(HEADLINES, [[figures[name] for name in HEADLINES]])}{drawn}"
        f"<h2>Latency by stage, ms</h2>{_stages(game, figures)}"
        f"{_parts(usage, record.accepted)}"
        f"<h2>All figures</h2><pre>{escape(json.dumps(figures, indent=1))}</pre></html>\n"
    )


def pictures(
    game: Game, record: GameRecord, moments: Sequence[GameMoment], usage: Mapping[str, PartUsage], figures: Figures
) -> str:
    """Make an SVG file of the page's pictures, one below the other."""
    return stack(f"{game.name}: {_points(figures)}", _charts(game, record, moments, usage))


def _points(figures: Figures) -> str:
    score, unanswered = figures["score"], figures["unanswered_checks"]
    assert isinstance(unanswered, list)  # noqa: S101 - `outcome` made it
    points = "score unknown, as a processor did not answer" if score is None else f"{score:,} points"
    return f"{points}; a processor did not answer {len(unanswered)} of the checks" if unanswered else points


def _charts(game: Game, record: GameRecord, moments: Sequence[GameMoment], usage: Mapping[str, PartUsage]) -> list[str]:
    ends_s = [*(stage.from_s for stage in game.stages[1:]), game.duration_s]
    shades = [
        Shade(
            stage.from_s,
            end_s,
            f"default {describe_condition(stage.default)}; fallback {describe_condition(stage.fallback)}",
        )
        for stage, end_s in zip(game.stages, ends_s, strict=True)
    ]
    seconds = by_second(record.posts, max(1, math.ceil(game.duration_s)))
    moments = [moment for moment in moments if moment.at_s <= game.duration_s]
    latencies = [
        Line("p99", [(number, each.p99) for number, each in enumerate(seconds)]),
        Line("p50", [(number, each.p50) for number, each in enumerate(seconds)]),
    ]
    offered = Line("accepted", [(number, float(each.count)) for number, each in enumerate(seconds)])
    waiting = Line("waiting", [(each.at_s, float(each.waiting)) for each in moments if each.waiting is not None])
    charts = [
        chart("Latency of POST /payments by second, ms", latencies, shades, logarithmic=True),
        chart("Payments a second, and where they went", [offered, *_paid_lines(moments)], shades),
        chart("Payments that wait", [waiting], shades),
    ]
    if usage:
        memory = [Line(name, _until(part.memory_mb, game), part.mb_max) for name, part in usage.items()]
        cpus = [Line(name, _until(part.cpus, game), part.cpus_max) for name, part in usage.items()]
        charts += [
            chart("Memory, MB (dashed: limits)", memory, shades),
            chart("CPU, cores (dashed: limits)", cpus, shades),
        ]
    return charts


def _until(points: Sequence[Point], game: Game) -> list[Point]:
    """Leave out points after the last payment, which lie outside of the pictures."""
    return [point for point in points if point[0] <= game.duration_s]


def _paid_lines(moments: Sequence[GameMoment]) -> list[Line]:
    known = [(moment.at_s, moment.paid) for moment in moments if moment.paid is not None]
    names = known[0][1] if known else ()
    return [
        Line(
            f"on {name}",
            [
                (after_s, max(0, after[name] - before[name]) / (after_s - before_s))
                for (before_s, before), (after_s, after) in pairwise(known)
            ],
        )
        for name in names
    ]


def _stages(game: Game, figures: Figures) -> str:
    stages = figures["stages"]
    assert isinstance(stages, list)  # noqa: S101 - `outcome` made it
    rows = [
        [
            f"{stage.from_s:g} s: {told['default']} / {told['fallback']}",
            told["from_send"]["count"],
            *(told["from_send"][name] for name in LATENCIES),
            *(told["from_intended"][name] for name in LATENCIES),
        ]
        for stage, told in zip(game.stages, stages, strict=True)
    ]
    heads = [f"{name} from {since}" for since in ("send", "intended") for name in LATENCIES]
    return _table(["default / fallback", "payments", *heads], rows)


def _parts(usage: Mapping[str, PartUsage], accepted: int) -> str:
    if not usage:
        return "<p>The gateway's processes could not be read from here.</p>"
    rows = [
        [
            name,
            f"{part.peak_mb:.1f}",
            "-" if part.mb_max is None else f"{part.mb_max:.0f}",
            f"{part.cpu_s:.2f}",
            "-" if part.cpus_max is None else part.cpus_max,
            f"{part.cpu_ms_each(accepted):.3f}",
            "-" if part.throttled_share is None else f"{part.throttled_share:.1%}",
        ]
        for name, part in usage.items()
    ]
    heads = ["part", "peak, MB", "limit, MB", "CPU, s", "limit, cores", "CPU a payment, ms", "throttled"]
    return f"<h2>Memory and CPU</h2>{_table(heads, rows)}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"
