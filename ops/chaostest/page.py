"""Makes the page of a chaos run: one HTML file that needs no other file and no network."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ops.chaostest.checker import CheckResult
from ops.chaostest.observed_run import ObservedRun
from ops.chaostest.report import RunResult
from ops.chaostest.suspect_story import SuspectStory, steps_of
from ops.chaostest.suspects import KINDS, SUSPECTS_MAX, kinds_of, records_of_suspects, suspects_of
from ops.chaostest.timeline import describe_fault, draw_timeline
from ops.loadtest.svg import CHART_STYLE, DARK_CHART_STYLE

TEMPLATE = "page.html.jinja"
EXAMPLES_MAX = 20
"""How many untrue summaries of each kind are written out."""


def make_page(result: RunResult, run: ObservedRun) -> str:
    """Make the page: verdict, timeline, what broke, the story of every suspicious payment, and all figures."""
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pictures = draw_timeline(run, result.seconds)
    return templates.get_template(TEMPLATE).render(
        result=result,
        began=datetime.fromtimestamp(run.began_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        began_ms=run.began_ms,
        style=Markup(CHART_STYLE),  # noqa: S704 - ours
        dark_style=Markup(DARK_CHART_STYLE),  # noqa: S704 - ours
        pictures=[Markup(each) for each in pictures],  # noqa: S704 - what is written in them is escaped
        faults=[describe_fault(each) for each in run.injected],
        kinds=[(kind, KINDS[kind], sorted(getattr(run.check, kind))) for kind in KINDS if getattr(run.check, kind)],
        others=list(_others(result)),
        examples=list(_examples(run.check)),
        stories=_stories(run),
        suspects_max=SUSPECTS_MAX,
        figures=[(name, in_words(value)) for name, value in result.to_dict().items()],
    )


def in_words(value: object) -> str:
    """Write a figure for people, in one line, with nested figures in brackets."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_within(each)}" for name, each in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(_within, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def _within(value: object) -> str:
    return f"({in_words(value)})" if isinstance(value, Mapping | list | tuple) and value else in_words(value)


def _others(result: RunResult) -> Iterator[str]:
    """Tell what is wrong besides single payments."""
    check = result.check
    yield from (f"The totals of {name} differ from the settlements in Postgres." for name in check.wrong_totals)
    counts = {
        "sums in Postgres differ from the settlements that they are of": check.wrong_sums,
        "final summaries differ from the processors' books": len(check.untrue_summaries),
        "summaries were not what had been booked when they were asked for": len(check.untrue_moments),
    }
    yield from (f"{count} {what}." for what, count in counts.items() if count)
    if check.doubted_history is not None:
        yield f"Replicas believed that Postgres had forgotten something in its history {check.doubted_history}."
    if result.rest_s is None:
        yield "Not everything was settled in time after the last fault."
    yield from (f"{each[0].upper()}{each[1:]}." for each in result.further_violations)
    yield from (f"The run proves nothing: {each}." for each in check.inconclusive)


def _examples(check: CheckResult) -> Iterator[tuple[str, str]]:
    for name, found in (("Untrue final summaries", check.untrue_summaries), ("Untrue moments", check.untrue_moments)):
        if found:
            yield name, _as_json(found[:EXAMPLES_MAX])


def _stories(run: ObservedRun) -> list[SuspectStory]:
    suspects = suspects_of(run.check)[:SUSPECTS_MAX]
    return [
        SuspectStory(correlation_id, kinds_of(run.check, correlation_id), steps_of(records), _as_json(records))
        for correlation_id, records in records_of_suspects(run.history, suspects, run.histories).items()
    ]


def _as_json(content: object) -> str:
    return msgspec.json.format(msgspec.json.encode(content), indent=1).decode()
