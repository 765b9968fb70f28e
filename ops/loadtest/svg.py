"""Draws lines over time as SVG pictures, for a page or for a file of their own."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, HEADING = 920, 230, 30
LEFT, RIGHT, TOP, BOTTOM = 60, 150, 22, 26
"""Margins: for the scale, the legend, the title and the seconds."""
TICKS_MAX = 6
COLOURS = ("#1f6feb", "#d1242f", "#1a7f37", "#9a6700", "#8250df", "#bf3989", "#57606a", "#0a7ea4")
DARK_COLOURS = ("#58a6ff", "#ff7b72", "#56d364", "#e3b341", "#bc8cff", "#f778ba", "#9198a1", "#56d4dd")
SHADES = ("#f6f8fa", "#e6ecf2")
GRID = "#d0d7de"
IN_THE_DARK = {
    **dict(zip(COLOURS, DARK_COLOURS, strict=True)),
    **dict(zip(SHADES, ("#161b22", "#21262d"), strict=True)),
    GRID: "#30363d",
}
"""The colours that replace others on a dark page."""
CHART_STYLE = ".title{font:600 13px system-ui}.tick{font:10px system-ui;fill:#57606a}.legend{font:12px system-ui}"
"""The styles for the page or the file that holds the pictures."""
DARK_CHART_STYLE = ".tick{fill:#9198a1}" + "".join(
    f'svg [fill="{light}"]{{fill:{dark}}}svg [stroke="{light}"]{{stroke:{dark}}}' for light, dark in IN_THE_DARK.items()
)
"""Further styles for a dark page."""
Point = tuple[float, float]
"""A moment in seconds, and the value then."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart."""

    name: str
    points: Sequence[Point]
    limit: float | None = None
    """A value that is drawn as a dashed line in the same colour, if there is one."""


@dataclass(frozen=True, slots=True)
class Shade:
    """A span of time with a background of its own, and its label."""

    from_s: float
    to_s: float
    text: str


def chart(title: str, lines: Sequence[Line], shades: Sequence[Shade], *, logarithmic: bool = False) -> str:
    """Draw lines over the shaded spans, with a legend; the scale of values begins at 0, or at 0.1 if logarithmic."""
    end_s = max(shade.to_s for shade in shades)
    values = [value for line in lines for _, value in line.points] + [line.limit or 0.0 for line in lines]
    scale = _Scale(end_s, max([*values, 1.0 if logarithmic else 1e-9]), logarithmic)
    parts = [_shade(shade, number, scale) for number, shade in enumerate(shades)]
    parts += [_tick(value, scale) for value in scale.ticks()]
    parts += [_line(line, number, scale) for number, line in enumerate(lines)]
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f'<text x="{LEFT}" y="14" class="title">{escape(title)}</text>{"".join(parts)}</svg>'
    )


def stack(title: str, charts: Sequence[str]) -> str:
    """Make a file of pictures, one below the other."""
    placed = [
        each.replace("<svg ", f'<svg y="{HEADING + HEIGHT * number}" width="{WIDTH}" height="{HEIGHT}" ', 1)
        for number, each in enumerate(charts)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEADING + HEIGHT * len(charts)}">'
        f"<title>{escape(title)}</title><style>{CHART_STYLE}</style>"
        f'<rect width="100%" height="100%" fill="#fff"/><text x="{LEFT}" y="20" class="title">{escape(title)}</text>'
        f"{''.join(placed)}</svg>\n"
    )


@dataclass(frozen=True, slots=True)
class _Scale:
    end_s: float
    value_max: float
    logarithmic: bool

    def x(self, at_s: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * at_s / self.end_s

    def y(self, value: float) -> float:
        share = value / self.value_max
        if self.logarithmic:
            lowest = math.log10(0.1)
            share = (math.log10(max(value, 0.1)) - lowest) / (math.log10(max(self.value_max, 1.0)) - lowest)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    def ticks(self) -> list[float]:
        if self.logarithmic:
            return [10.0**power for power in range(-1, math.floor(math.log10(self.value_max)) + 1)]
        step = 10.0 ** math.floor(math.log10(self.value_max / TICKS_MAX))
        step *= next(factor for factor in (1, 2, 5, 10) if self.value_max / (step * factor) <= TICKS_MAX)
        return [step * number for number in range(math.floor(self.value_max / step) + 1)]


def _shade(shade: Shade, number: int, scale: _Scale) -> str:
    left, right = scale.x(shade.from_s), scale.x(shade.to_s)
    return (
        f'<rect x="{left:.1f}" y="{TOP}" width="{right - left:.1f}" height="{HEIGHT - TOP - BOTTOM}" '
        f'fill="{SHADES[number % len(SHADES)]}"><title>{escape(shade.text)}</title></rect>'
        f'<text x="{left:.1f}" y="{HEIGHT - 10}" class="tick">{shade.from_s:g} s</text>'
    )


def _tick(value: float, scale: _Scale) -> str:
    y = scale.y(value)
    return (
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{GRID}"/>'
        f'<text x="{LEFT - 6}" y="{y + 4:.1f}" class="tick" text-anchor="end">{value:.6g}</text>'
    )


def _line(line: Line, number: int, scale: _Scale) -> str:
    colour = COLOURS[number % len(COLOURS)]
    points = " ".join(f"{scale.x(at_s):.1f},{scale.y(value):.1f}" for at_s, value in line.points)
    legend_y = TOP + 12 + 16 * number
    drawn = (
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        f'<text x="{WIDTH - RIGHT + 10}" y="{legend_y}" fill="{colour}" class="legend">{escape(line.name)}</text>'
    )
    if line.limit is not None:
        y = scale.y(line.limit)
        drawn += (
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{colour}" '
            f'stroke-dasharray="4 4"/>'
        )
    return drawn
