"""The result of a chaos run of a cluster: what broke, and how long the cluster was unavailable. It is pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ops.chaostest.checker import CheckResult
from ops.chaostest.verdict import judge_run
from ops.clustertest.availability import Gaps
from ops.clustertest.chaos_options import COMMAND, ClusterChaosOptions
from ops.console import RunVerdict


@dataclass(frozen=True, slots=True)
class ClusterFigures:
    """The figures of a cluster's run, besides those of its promises."""

    faults: Mapping[str, int]
    """How many faults of each kind were injected."""
    left_out: int
    """How many drawn faults were not injected."""
    failovers: int
    """How many new timelines there were."""
    partitions: int
    """How many times hosts were cut from each other."""
    load_s: float
    """How long payments were offered."""
    without_202: Gaps
    """Times in which no replica accepted a payment."""
    without_202_by_replica: Mapping[str, Gaps]
    """Times in which each replica accepted nothing although a client could reach it."""
    without_charge: Gaps
    """Times in which no processor booked a charge."""
    ready_s: float | None
    """Seconds from the last heal until every host was ready; None where that took too long."""
    rest_s: float | None
    """Seconds from the last heal until all that was accepted had ended; None where that took too long."""


@dataclass(frozen=True, slots=True)
class ClusterChaosResult:
    """The findings of the audit, the judge and the watch."""

    options: ClusterChaosOptions
    check: CheckResult
    judged: Mapping[str, Any]
    """What the independent judge says of the recorded history."""
    figures: ClusterFigures
    commit: str | None = None
    unhealed: Sequence[str] = field(default_factory=list)
    """What was still wrong with hosts at the end, in words."""

    @property
    def title(self) -> str:
        """The seed and what is unusual."""
        return f"cluster, seed {self.options.seed}" + (", asynchronous" if self.options.is_asynchronous else "")

    @property
    def command(self) -> str:
        """The command line that repeats the run."""
        options = self.options
        given = [f"--seed {options.seed}", f"--rate {options.rate:g}", f"--durability {options.durability}"]
        given += [f"--replicas-per-host {options.replicas_per_host}"]
        given += [f"--seconds {options.seconds:g}"] if options.seconds else []
        given += [f"--payments {options.payments}"] if options.payments else []
        given += [f"--faults {options.faults}"] if options.faults else []
        return " ".join([COMMAND, *given, *(["--asynchronous"] if options.is_asynchronous else [])])

    @property
    def seconds(self) -> float:
        """How long payments were offered."""
        return self.figures.load_s

    @property
    def rest_s(self) -> float | None:
        """Seconds from the last heal until all that was accepted had ended; None where that took too long."""
        return self.figures.rest_s

    @property
    def further_violations(self) -> Sequence[str]:
        """What broke besides what the checker looks at."""
        found = list(self.unhealed)
        if not self.judged["ok"] and not self.judged["proves_nothing"]:
            kinds = ", ".join(f"{self.judged[kind]} {kind}" for kind in self.judged["examples"])
            found.append(f"the independent judge found {kinds}")
        return found

    @property
    def shortfalls(self) -> Sequence[str]:
        """What the run lacks of what was asked for."""
        disruptions = self.figures.failovers + self.figures.partitions
        wanted = (
            (self.check.accepted, self.options.payments, "payments were accepted"),
            (disruptions, self.options.faults, "failovers and partitions happened"),
        )
        return [f"only {had:,} of {asked:,} {what}" for had, asked, what in wanted if had < asked]

    @property
    def ok(self) -> bool:
        """Whether every promise was kept, and the run proves it."""
        return self.verdict.kept

    @property
    def verdict(self) -> RunVerdict:
        """The result of the run in words."""
        figures = self.figures
        verdict = judge_run(self.check, sum(figures.faults.values()), figures.rest_s, self.further_violations)
        if not verdict.kept:
            return verdict
        if self.shortfalls:
            return RunVerdict(f"Not proven: {'; '.join(self.shortfalls)}.", kept=False)
        longest_s = figures.without_202.longest_s, figures.without_charge.longest_s
        times = (
            f" {figures.failovers} failovers and {figures.partitions} partitions; at most "
            f"{longest_s[0]:g} s without a 202, {longest_s[1]:g} s without a charge."
        )
        return RunVerdict(verdict.words + times, kept=True)

    def to_dict(self) -> dict[str, object]:
        """Lay out what the line of JSON says that a run ends with."""
        check, figures = self.check, self.figures
        return {
            "offered": check.offered,
            "accepted": check.accepted,
            "refused": check.refused,
            "unanswered": check.unanswered,
            "settled": check.settled,
            "lost": len(check.lost),
            "twice": len(check.duplicated),
            "untrue": len(check.untrue_summaries) + len(check.untrue_moments) + check.wrong_sums,
            "unknown": len(check.unknown),
            "mismatched": len(check.mismatched) + len(check.wrong_totals),
            "phantom": len(check.phantom),
            "misstated": len(check.misstated),
            "doubted_history": check.doubted_history,
            "summaries": dict(check.summaries),
            "moments_compared": check.moments_checked,
            "judge": {name: value for name, value in self.judged.items() if name != "examples"},
            "failovers": figures.failovers,
            "partitions": figures.partitions,
            "faults": dict(sorted(figures.faults.items())),
            "left_out": figures.left_out,
            "without_202": figures.without_202.to_dict(),
            "without_202_by_replica": {url: each.to_dict() for url, each in figures.without_202_by_replica.items()},
            "without_charge": figures.without_charge.to_dict(),
            "ready_s": figures.ready_s,
            "rest_s": figures.rest_s,
            "inconclusive": [*check.inconclusive, *self.shortfalls],
            "violations": list(self.further_violations),
            "seconds": round(figures.load_s, 1),
            "seed": self.options.seed,
            "commit": self.commit,
            "ok": self.ok,
        }
