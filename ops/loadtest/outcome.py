"""The result of a game as figures: the score and all that explains it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from ops.benchmarks.stages import Condition
from ops.console import RunVerdict
from ops.loadtest.games import Game
from ops.loadtest.latencies import PostedPayment, by_stage, latency_figures
from ops.loadtest.player import ConsistencyCheck, GameRecord
from ops.loadtest.score import PaidTotal, Score, score

Figures = dict[str, object]
"""Figures by their names, as they are written in JSON."""


def score_of(game: Game, record: GameRecord) -> Score | None:
    """Score a game that has been played; None where a processor did not say what was paid there.

    A check that a processor did not answer counts as one without a difference.
    """
    totals = {name: total for name, total in paid(game, record).items() if total is not None}
    if len(totals) < len(paid(game, record)):
        return None
    return score(totals, latency_figures(record.latencies_ms).p99, _differences(record), record.accepted)


def paid(game: Game, record: GameRecord) -> Mapping[str, PaidTotal | None]:
    """Return what counts as paid in this game, by processor; None for a processor that did not tell it."""
    return record.ledgers if game.paid_by_ledgers else record.summary


def is_flawless(game: Game, record: GameRecord) -> bool:
    """Tell whether every payment was accepted and paid by the end, and each check answered without a difference."""
    is_consistent = all(check.differences == 0 for check in record.checks)
    scored = score_of(game, record)
    return is_consistent and len(record.posts) == record.accepted and scored is not None and scored.lag == 0


def judge_game(game: Game, record: GameRecord, not_restored: Sequence[str] = ()) -> RunVerdict:
    """Say in a sentence whether the gateway kept its promises in a game, and how many points it has."""
    scored = score_of(game, record)
    points = "the score is unknown" if scored is None else f"{scored.rounded_points:,} points"
    if is_flawless(game, record) and not not_restored:
        accepted = f"{record.accepted:,}"
        words = f"Kept: {accepted} payments accepted and paid in time, no summary differed; {points}."
        return RunVerdict(words, kept=True)
    unanswered = sum(check.differences is None for check in record.checks)
    counts = {
        f"of {len(record.posts):,} payments were not accepted": len(record.posts) - record.accepted,
        "accepted ones were not paid in time": scored.lag if scored else 0,
        "differences in summaries": _differences(record),
        "checks of summaries are without a processor's answer": unanswered,
        "settings of processors were not restored": len(not_restored),
    }
    faults = [f"{count:,} {what}" for what, count in counts.items() if count] + ([] if scored else ["not all is known"])
    return RunVerdict(f"Broken: {', '.join(faults)}; {points}.", kept=False)


def outcome(game: Game, record: GameRecord) -> Figures:
    """Give all figures of a game that has been played."""
    scored = score_of(game, record)
    counted = latency_figures(record.latencies_ms)
    accepted = [post for post in record.posts if post.is_accepted]
    return {
        "game": game.name,
        "score": scored and float(scored.rounded_points),
        "profit": scored and round(float(scored.profit), 2),
        "bonus": scored and float(scored.bonus),
        "fine": scored and float(scored.fine),
        "disqualified": scored and scored.is_disqualified,
        "p50_ms": counted.p50,
        "p95_ms": counted.p95,
        "p99_ms": counted.p99,
        "max_ms": counted.max,
        "asked": len(record.posts),
        "accepted": record.accepted,
        "failed": len(record.posts) - record.accepted,
        "paid": {name: total and total.requests for name, total in paid(game, record).items()},
        "lag": scored and scored.lag,
        "differences": _differences(record),
        "checks": len(record.checks),
        "unanswered_checks": [_describe_check(check) for check in record.checks if check.differences is None],
        "differing_checks": [_describe_check(check) for check in record.checks if check.differences],
        "slowest_summary_ms": round(max((check.took_ms for check in record.checks), default=0.0), 1),
        "statuses": {str(status): count for status, count in sorted(record.statuses.items())},
        "purged": record.is_purged,
        "latency": {
            "from_send": asdict(latency_figures([post.sent_ms for post in accepted])),
            "from_intended": asdict(latency_figures([post.intended_ms for post in accepted])),
        },
        "stages": _describe_stages(game, record.posts),
    }


def _differences(record: GameRecord) -> int:
    return sum(check.differences or 0 for check in record.checks)


def _describe_check(check: ConsistencyCheck) -> Figures:
    return {
        "at_s": round(check.at_s, 1),
        "status": check.status,
        "took_ms": round(check.took_ms, 1),
        "gateway": dict(check.ours),
        "processors": dict(check.theirs),
        "differences": check.differences,
    }


def _describe_stages(game: Game, posts: Sequence[PostedPayment]) -> list[Figures]:
    sent = by_stage(posts, game.stages, lambda post: post.sent_ms)
    intended = by_stage(posts, game.stages, lambda post: post.intended_ms)
    return [
        {
            "from_s": round(stage.from_s, 1),
            "default": describe_condition(stage.default),
            "fallback": describe_condition(stage.fallback),
            "from_send": asdict(figures),
            "from_intended": asdict(others),
        }
        for stage, figures, others in zip(game.stages, sent, intended, strict=True)
    ]


def describe_condition(condition: Condition) -> str:
    """Say in a few words how a processor behaves."""
    delay = f"+{condition.delay_s * 1000:g} ms" if condition.delay_s else ""
    failing = "fails" if condition.failure_rate else ""
    return ", ".join(filter(None, (delay, failing))) or "works"
