"""The result of a chaos run, and the folder that a failed one leaves behind.

The folder holds the schedule of faults, the result, logs, journals and all records of each broken payment.
"""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol
from uuid import UUID

import msgspec

from ops.chaostest.checker import CheckResult
from ops.chaostest.endings import DECLINED, MISMATCHED
from ops.chaostest.history import History
from ops.chaostest.neighbour_verdict import NeighbourFigures
from ops.chaostest.options import COMMAND, ChaosOptions
from ops.chaostest.schedule import ScheduledFault
from ops.chaostest.suspects import KINDS, SUSPECTS_MAX, records_of_suspects, suspects_of
from ops.chaostest.verdict import judge_run
from ops.console import RunVerdict
from ops.environment import ROOT


class RunResult(Protocol):
    """What the page of a chaos run shows of its result, whatever it ran on."""

    @property
    def title(self) -> str:
        """The name of the run."""

    @property
    def command(self) -> str:
        """The command line that repeats the run."""

    @property
    def seconds(self) -> float:
        """How long payments were offered."""

    @property
    def check(self) -> CheckResult:
        """What the checker found."""

    @property
    def rest_s(self) -> float | None:
        """Seconds from the end of the last fault until everything was settled; None where that took too long."""

    @property
    def commit(self) -> str | None:
        """The commit of the checkout, where git can tell."""

    @property
    def ok(self) -> bool:
        """Whether every promise was kept, and the run proves it."""

    @property
    def verdict(self) -> RunVerdict:
        """The result of the run in words."""

    @property
    def further_violations(self) -> Sequence[str]:
        """What broke besides what the checker looks at, each without a full stop."""

    def to_dict(self) -> dict[str, object]:
        """Lay out all figures."""


@dataclass(frozen=True, slots=True)
class ChaosResult:
    """The result of a chaos run on one machine."""

    options: ChaosOptions
    check: CheckResult
    faults: Mapping[str, int]
    """How often each kind of fault was injected; those of processors count once for each request that they hit."""
    injected: int
    """How many faults were injected, of processors too: each counts once, however many requests it hit."""
    rest_s: float | None
    """Seconds from the end of the last fault until everything was settled; None where that took too long."""
    commit: str | None
    """The commit of the checkout, where git can tell."""
    fees: Mapping[str, float]
    breakers: Mapping[str, object]
    neighbours: NeighbourFigures | None = None
    """What bad neighbours cost others; None where there were none."""

    @property
    def title(self) -> str:
        """The profile and the seed."""
        return f"{self.options.profile}, seed {self.options.seed}"

    @property
    def command(self) -> str:
        """The command line that repeats the run."""
        options = self.options
        crowd = f" --crowd {options.crowd:g}" if options.crowd < 1 else ""
        return (
            f"{COMMAND} --profile {options.profile} --seed {options.seed} --seconds {options.seconds:g} "
            f"--rate {options.rate:g}{crowd}"
        )

    @property
    def seconds(self) -> float:
        """How long payments were offered."""
        return self.options.seconds

    @property
    def further_violations(self) -> Sequence[str]:
        """The bounds that were broken beside bad neighbours."""
        return (
            []
            if self.neighbours is None
            else [f"beside bad neighbours {each}" for each in self.neighbours.violations()]
        )

    @property
    def ok(self) -> bool:
        """Whether every promise was kept, everything was settled in time, and no neighbour cost more than its share."""
        is_fair = self.neighbours is None or not any(self.neighbours.violations())
        return self.check.ok and self.rest_s is not None and is_fair

    @property
    def verdict(self) -> RunVerdict:
        """What came of the run in words."""
        unfair = () if self.neighbours is None else tuple(self.neighbours.violations())
        verdict = judge_run(self.check, self.injected, self.rest_s, unfair)
        assert verdict.kept == self.ok  # noqa: S101 - words and exit status say the same
        return verdict

    def to_dict(self) -> dict[str, object]:
        """Lay out what the line of JSON says that a run ends with."""
        check = self.check
        return {
            "offered": check.offered,
            "accepted": check.accepted,
            "refused": check.refused,
            "unanswered": check.unanswered,
            "settled": check.settled,
            "declined": check.closed.get(DECLINED, 0),
            "closed_mismatched": check.closed.get(MISMATCHED, 0),
            "in_doubt": {
                "charged": check.in_doubt_charged,
                "not_charged": len(check.in_doubt) - check.in_doubt_charged,
            },
            "unknown": len(check.unknown),
            "lost": len(check.lost),
            "duplicated": len(check.duplicated),
            "mismatched": len(check.mismatched) + len(check.wrong_totals),
            "phantom": len(check.phantom),
            "misstated": len(check.misstated),
            "summaries": dict(check.summaries),
            "wrong_sums": check.wrong_sums,
            "doubted_history": check.doubted_history,
            "untrue_summaries": len(check.untrue_summaries),
            "momentary": {"checked": check.moments_checked, "wrong": len(check.untrue_moments)},
            "faults": dict(sorted(self.faults.items())),
            "fees": self.fees,
            "breakers": self.breakers,
            "neighbours": None if self.neighbours is None else self.neighbours.to_dict(),
            "inconclusive": list(check.inconclusive),
            "rest_s": None if self.rest_s is None else round(self.rest_s, 2),
            "seconds": self.options.seconds,
            "seed": self.options.seed,
            "profile": self.options.profile,
            "commit": self.commit,
            "ok": self.ok,
        }


KEPT = ("log", "journal", "twin")
"""The folders of the stack's state that are copied."""


def keep_state(out: Path, state_dir: Path, schedule: Sequence[ScheduledFault]) -> None:
    """Copy logs and journals to `out` and write the schedule there, replacing what an earlier run left."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for name in KEPT:
        if (state_dir / name).exists():
            shutil.copytree(state_dir / name, out / name)
    _write(out / "plan.json", schedule)


def keep_findings(
    out: Path,
    history: History,
    found: CheckResult,
    neighbours: NeighbourFigures | None = None,
    histories: Mapping[UUID, Sequence[Any]] = MappingProxyType({}),
) -> None:
    """Write which payments are broken, and for each of them its rows, its charges and what its client saw.

    The first `SUSPECTS_MAX` get a file of their own; `broken.json` names all of them. With bad neighbours, also write
    for which requests a bound was broken. `histories` are the answers to `ask_histories`.
    """
    _write(out / "broken.json", {kind: sorted(map(str, getattr(found, kind))) for kind in KINDS})
    _write(out / "untrue-summaries.json", found.untrue_summaries)
    _write(out / "untrue-moments.json", found.untrue_moments)
    _write(out / "totals.json", {"wrong": found.wrong_totals, "processors": history.final_state.totals})
    if neighbours is not None:
        _write(out / "unfair.json", neighbours.examples)
    (out / "broken").mkdir(exist_ok=True)
    for correlation_id, records in records_of_suspects(history, suspects_of(found)[:SUSPECTS_MAX], histories).items():
        _write(out / "broken" / f"{correlation_id}.json", records)


def _write(path: Path, content: object) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n")


def current_commit() -> str | None:
    """Ask git for the commit of the checkout; None where it cannot tell."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607 - whichever git there is
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
