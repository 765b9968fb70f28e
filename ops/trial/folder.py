"""The folder that a failing trial leaves: plan, result, logs, and all that is known of each broken payment."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol
from uuid import UUID

import msgspec

from ops.trial.audit import Report
from ops.trial.evidence import Evidence
from ops.trial.plan import PlannedFault


class _HasId(Protocol):
    @property
    def correlation_id(self) -> UUID: ...


BROKEN_MAX = 200
"""More payments than these are named in `broken.json` alone."""
KEPT = ("log", "journal")


def keep_state(out: Path, state_dir: Path, plan: Sequence[PlannedFault]) -> None:
    """Copy logs and journals, and write the plan; what an earlier trial left there goes."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for name in KEPT:
        if (state_dir / name).exists():
            shutil.copytree(state_dir / name, out / name)
    _write(out / "plan.json", plan)


def keep_findings(out: Path, evidence: Evidence, report: Report) -> None:
    """Write what is broken, and for each broken payment the rows of all tables, the charges, its client's history."""
    kinds = ("unknown", "lost", "duplicated", "mismatched", "phantom", "lost_conflicts")
    _write(out / "broken.json", {kind: sorted(map(str, getattr(report, kind))) for kind in kinds})
    _write(out / "untrue-summaries.json", report.untrue_summaries)
    _write(out / "totals.json", {"wrong": report.wrong_totals, "processors": evidence.books.totals})
    books = evidence.books
    tables: dict[str, Sequence[_HasId]] = {
        "offers": evidence.offers,
        "charges": books.charges,
        "payment": books.payments,
        "claim": books.claims,
        "settlement": books.settlements,
        "conflict": books.conflicts,
    }
    broken = sorted(report.broken | report.lost_conflicts)[:BROKEN_MAX]
    known: dict[UUID, dict[str, list[_HasId]]] = {each: {name: [] for name in tables} for each in broken}
    for name, rows in tables.items():
        for row in rows:
            if row.correlation_id in known:
                known[row.correlation_id][name].append(row)
    (out / "broken").mkdir(exist_ok=True)
    for correlation_id, found in known.items():
        _write(out / "broken" / f"{correlation_id}.json", found)


def _write(path: Path, content: object) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n")
