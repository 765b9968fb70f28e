"""Reads what the processes or containers of a gateway used during a game from the file that the sampler wrote."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

MB = 1_000_000


@dataclass(frozen=True, slots=True)
class PartUsage:
    """What one process or container used; moments are in seconds from the beginning of the game."""

    memory_mb: Sequence[tuple[float, float]]
    cpus: Sequence[tuple[float, float]]
    """CPU time a second, between two moments."""
    cpu_s: float
    """CPU time over the whole game; of a process that replaced another, only after it was first seen."""
    mb_max: float | None
    """The memory limit, and next the CPU limit; None where there is none."""
    cpus_max: float | None
    throttled_share: float | None = None
    """The share of the periods of its CPU limit in which it was throttled; None without a limit."""

    @property
    def peak_mb(self) -> float:
        """The largest memory that was seen."""
        return max(mb for _, mb in self.memory_mb)

    def cpu_ms_each(self, payments: int) -> float:
        """Tell how much CPU time, in milliseconds, went into each of a number of payments."""
        return self.cpu_s * 1000 / max(payments, 1)

    def in_words(self, payments: int) -> str:
        """Say in a short line what it used for a number of payments."""
        memory_max = "" if self.mb_max is None else f" of {self.mb_max:.0f}"
        cpus_max = "" if self.cpus_max is None else f", limit {self.cpus_max:g} cores"
        waits = "" if self.throttled_share is None else f", throttled {self.throttled_share:.1%}"
        cpu = f"CPU {self.cpu_s:.2f} s, {self.cpu_ms_each(payments):.3f} ms a payment"
        return f"{self.peak_mb:.1f}{memory_max} MB, {cpu}{cpus_max}{waits}"


def read_usage_notes(path: Path, began_s: float) -> dict[str, PartUsage]:
    """Read what was noted since `began_s` on the monotonic clock, by part; nothing where nothing was noted."""
    lines = path.read_text().splitlines() if path.exists() else []
    # The last line may have been cut off with the sampler's end.
    notes = [json.loads(line) for line in lines if line.endswith("}}")]
    names = list(notes[0]) if notes else []
    return {name: _part([note[name] for note in notes], began_s) for name in names}


def _part(notes: Sequence[Mapping[str, float | None]], began_s: float) -> PartUsage:
    samples = [(note["at_s"] or 0.0, note["cpu_s"] or 0.0, note["bytes"] or 0.0) for note in notes]
    limits = notes[-1]["bytes_max"], notes[-1]["cpus_max"]
    within = [each for each in samples if each[0] >= began_s] or samples[-1:]
    # The CPU time of a new process begins at 0 again.
    used = [(before[0], after[0], max(0.0, after[1] - before[1])) for before, after in pairwise(within)]
    return PartUsage(
        [(at_s - began_s, held / MB) for at_s, _, held in within],
        [(at_s - began_s, cpu_s / (at_s - before_s)) for before_s, at_s, cpu_s in used],
        sum(cpu_s for *_, cpu_s in used),
        None if limits[0] is None else limits[0] / MB,
        limits[1],
        _throttled_share(notes, began_s),
    )


def _throttled_share(notes: Sequence[Mapping[str, float | None]], began_s: float) -> float | None:
    within = [note for note in notes if (note["at_s"] or 0.0) >= began_s] or notes[-1:]
    periods, throttled = ((within[-1].get(name) or 0) - (within[0].get(name) or 0) for name in ("periods", "throttled"))
    return throttled / periods if periods > 0 else None
