"""Tells the result of a chaos run in one sentence. It is pure."""

from collections.abc import Iterator, Sequence

from ops.chaostest.checker import CheckResult
from ops.console import RunVerdict


def judge_run(check: CheckResult, faults: int, rest_s: float | None, unfair: Sequence[str]) -> RunVerdict:
    """Say whether every promise was kept, all was settled in time, and no neighbour cost more than its share.

    Args:
        check: what the checker found.
        faults: how many faults were injected.
        rest_s: how long it took after the last fault until all was settled; None where that was too long.
        unfair: the bounds that were broken beside bad neighbours.
    """
    broken = [*_broken_promises(check), *unfair]
    if rest_s is None:
        broken.append("some payments were not settled in time after the last fault")
    if broken:
        return RunVerdict(f"Broken: {'; '.join(broken)}; {check.accepted:,} payments were accepted.", kept=False)
    if check.inconclusive:
        return RunVerdict(f"Not proven: {'; '.join(check.inconclusive)}.", kept=False)
    ends = [f"{count:,} {state}" for state, count in sorted(check.closed.items()) if count]
    if check.in_doubt:
        ends.append(f"{len(check.in_doubt):,} in doubt at a processor that did not come back")
    others = f", {', '.join(ends)}" if ends else ""
    return RunVerdict(
        f"Kept: {check.accepted:,} payments accepted; {check.settled:,} charged, each once{others}; {faults:,} faults, "
        f"all at rest {rest_s:.1f} s after the last.",
        kept=True,
    )


def _broken_promises(check: CheckResult) -> Iterator[str]:
    counts = {
        "lost": len(check.lost),
        "charged more than once": len(check.duplicated),
        "of unknown outcome": len(check.unknown),
        "not recorded as posted and charged": len(check.mismatched),
        "charged though refused or never posted": len(check.phantom),
        "reported in another state than they ended": len(check.misstated),
    }
    yield from (f"{count:,} {what}" for what, count in counts.items() if count)
    yield from (f"the totals of {name} are wrong" for name in check.wrong_totals)
    others = {
        "sums in Postgres are wrong": check.wrong_sums,
        "final summaries are untrue or missing": len(check.untrue_summaries),
        "summaries were untrue when they were asked for": len(check.untrue_moments),
    }
    yield from (f"{count:,} {what}" for what, count in others.items() if count)
    if check.doubted_history is not None:
        yield f"replicas believed that Postgres had forgotten something in its history {check.doubted_history}"
