"""Draws what happened when in a chaos run: faults in lanes, rates by second, and what waited, over the same seconds."""

from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from http import HTTPStatus
from itertools import accumulate

from ops.chaostest.history import History
from ops.chaostest.nemesis import InjectedFault
from ops.chaostest.observed_run import ObservedRun
from ops.loadtest.svg import LEFT, RIGHT, TOP, WIDTH, Line, Shade, chart

LANE_HEIGHT = 22
SPAN_WIDTH_MIN = 2.0
"""How wide a fault without a duration is drawn, in units of the picture."""
LETTER_WIDTH, LABEL_MARGIN = 6.5, 4.0
"""The most room that a letter of a fault's label takes, and the margin on both sides, in units of the picture."""


def draw_timeline(run: ObservedRun, seconds: float) -> list[str]:
    """Draw the pictures of a run whose load lasted for some seconds, one SVG element each."""
    end_s = max(1.0, seconds, *(each.ended_s or 0.0 for each in run.injected)) + (run.rest_s or 0.0)
    shades = [Shade(0, seconds, "load"), Shade(seconds, max(end_s, seconds), "no more payments: all comes to rest")]
    accepted, failed = _answers(run.history, run.began_ms)
    settled = _by_second((each.booked_at_ms for each in run.history.final_state.charges), run.began_ms)
    last = max(int(end_s), *accepted, *failed, *settled, 0)
    waits = list(accumulate(accepted[second] - settled[second] for second in range(last + 1)))
    seconds_shown = range(int(end_s) + 1)
    rates = {"accepted": accepted, "failed": failed, "charged": settled}
    lines = [Line(name, [(each, float(counts[each])) for each in seconds_shown]) for name, counts in rates.items()]
    waiting = Line("waiting", [(each, float(max(0, waits[each]))) for each in seconds_shown])
    return [
        _lanes(run.injected, end_s),
        chart("Payments a second", lines, shades),
        chart("Accepted and not charged yet", [waiting], shades),
    ]


def _answers(history: History, began_ms: int) -> tuple[Counter[int], Counter[int]]:
    """Count payments by the second of their first 202, and requests by the second of any other end."""
    accepted_ms, failed_ms = [], []
    for offer in history.offers:
        ends = [(each.answered_at_ms or each.at_ms, each.status == HTTPStatus.ACCEPTED) for each in offer.attempts]
        accepted_ms += sorted(at_ms for at_ms, is_accepted in ends if is_accepted)[:1]
        failed_ms += [at_ms for at_ms, is_accepted in ends if not is_accepted]
    return _by_second(accepted_ms, began_ms), _by_second(failed_ms, began_ms)


def _by_second(instants_ms: Iterable[int], began_ms: int) -> Counter[int]:
    return Counter(max(0, (at_ms - began_ms) // 1000) for at_ms in instants_ms)


def _lanes(injected: Sequence[InjectedFault], end_s: float) -> str:
    targets = sorted({each.fault.target for each in injected})
    height = TOP + LANE_HEIGHT * len(targets) + 6
    drawn = [_lane(target, TOP + LANE_HEIGHT * number) for number, target in enumerate(targets)]
    for number, target in enumerate(targets):
        lane = sorted((each for each in injected if each.fault.target == target), key=lambda each: each.began_s)
        ends = [*(each.began_s for each in lane[1:]), end_s]
        drawn += [_span(each, TOP + LANE_HEIGHT * number, end_s) for each in lane]
        drawn += [
            _label(each, next_s, TOP + LANE_HEIGHT * number, end_s) for each, next_s in zip(lane, ends, strict=True)
        ]
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="Faults, a lane for each target">'
        f'<text x="{LEFT}" y="14" class="title">Faults, a lane for each target</text>{"".join(drawn)}</svg>'
    )


def _lane(target: str, y: float) -> str:
    return (
        f'<rect x="{LEFT}" y="{y}" width="{WIDTH - LEFT - RIGHT}" height="{LANE_HEIGHT - 3}" class="lane"/>'
        f'<text x="{WIDTH - RIGHT + 10}" y="{y + 14}" class="legend">{escape(target)}</text>'
    )


def _span(injected: InjectedFault, y: float, end_s: float) -> str:
    left = _x(injected.began_s, end_s)
    width = max(SPAN_WIDTH_MIN, _x(injected.ended_s or end_s, end_s) - left)
    return (
        f'<rect x="{left:.1f}" y="{y}" width="{width:.1f}" height="{LANE_HEIGHT - 3}" class="fault">'
        f"<title>{escape(describe_fault(injected))}</title></rect>"
    )


def _label(injected: InjectedFault, next_s: float, y: float, end_s: float) -> str:
    """Write the kind of a fault into its bar, where it fits before the end and before the next one of its lane."""
    left, kind = _x(injected.began_s, end_s), injected.fault.fault
    room = _x(min(injected.ended_s or end_s, next_s), end_s) - left
    if room < LETTER_WIDTH * len(kind) + 2 * LABEL_MARGIN:
        return ""
    return f'<text x="{left + LABEL_MARGIN:.1f}" y="{y + 14}" class="kind">{escape(kind)}</text>'


def _x(at_s: float, end_s: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * min(1.0, max(0.0, at_s) / end_s)


def describe_fault(injected: InjectedFault) -> str:
    """Say in a line which fault was injected where and when."""
    fault = injected.fault
    end = f"to {injected.ended_s:.1f} s" if injected.ended_s is not None else "for ever"
    parameters = ", ".join(f"{name} {value:g}" for name, value in fault.parameters.items())
    return f"{fault.fault} {fault.target} from {injected.began_s:.1f} s {end}" + (
        f": {parameters}" if parameters else ""
    )
