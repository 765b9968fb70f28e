"""What `ops/chaos` is asked for."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ops.process import ROOT
from ops.trial.profiles import PROFILES

SECONDS_MIN = 5


@dataclass(frozen=True, slots=True)
class Options:
    """One trial."""

    seconds: float
    seed: int
    profile: str
    out: Path
    """Where a trial that fails leaves all that is known."""
    rate: float
    """New payments a second."""


def parse_options(arguments: Sequence[str]) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="ops/chaos",
        description="Put a whole gateway under load and a seeded plan of faults, then audit every payment. "
        "The last line is the result as JSON; exit status 1 where a promise broke.",
    )
    parser.add_argument("--seconds", type=float, default=60, help="how long payments are offered; default: 60")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same plan; default: 1")
    parser.add_argument("--profile", choices=PROFILES, default="mix", help="default: mix")
    parser.add_argument("--rate", type=float, help="new payments a second; default: the profile's")
    parser.add_argument(
        "--out", type=Path, help="the folder that a failing run leaves; default: var/chaos/PROFILE-SEED"
    )
    given = parser.parse_args(arguments)
    if given.seconds < SECONDS_MIN:
        parser.error(f"--seconds is at least {SECONDS_MIN}")
    rate = PROFILES[given.profile].rate if given.rate is None else given.rate
    if rate <= 0:
        parser.error("--rate is above 0")
    out = given.out or ROOT / "var" / "chaos" / f"{given.profile}-{given.seed}"
    return Options(given.seconds, given.seed, given.profile, out.absolute(), rate)
