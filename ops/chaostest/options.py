"""The command line of `ops/chaos`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ops.arguments import add_json_option, make_parser
from ops.chaostest.profiles import PROFILES
from ops.environment import ROOT

COMMAND = "ops/chaos"
SECONDS_MIN = 5


@dataclass(frozen=True, slots=True)
class ChaosOptions:
    """The options of one chaos run."""

    seconds: float
    """How long payments are offered."""
    seed: int
    profile: str
    out: Path
    """The folder in which a failing run leaves its findings."""
    rate: float
    """New payments per second."""
    crowd: float
    """The share of the profile's bad neighbours, such as connections and rows, that there really are."""
    history: Path | None
    """The file to which the history of the run is written, for `ops/judge`."""
    report: Path | None = None
    """The file to which the page of the run is written."""
    as_json: bool = False
    """Whether the line of JSON is all that is printed on standard output."""


def parse_chaos_options(arguments: Sequence[str]) -> ChaosOptions:
    """Read the command line."""
    parser = make_parser(
        COMMAND,
        "Put a whole gateway under load and a seeded schedule of faults, then check every payment. It starts its own "
        "gateway on free ports. Where standard output is no terminal, the result is one line of JSON there.",
        kept="every promise was kept, and everything was at rest in time",
        broken="a promise broke, or the run proves nothing; the folder --out has the details",
        takes="--seconds, and some 10 s to start, come to rest and check; a minute and a quarter with the defaults",
        examples={
            "ops/chaos": "a minute of everything",
            "ops/chaos --profile crashes --seed 7 --report run.html": "a page with the timeline, to open in a browser",
            "ops/chaos --seconds 600 --json > result.json": "for scripts",
            "ops/chaos --history h.jsonl && ops/judge h.jsonl": "judged once more by an independent program",
        },
    )
    parser.add_argument("--seconds", type=float, default=60, help="how long payments are offered; default: 60")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same faults; default: 1")
    parser.add_argument("--profile", choices=PROFILES, default="mix", help="the kinds of faults; default: mix")
    parser.add_argument("--rate", type=float, help="new payments a second; default: the profile's")
    parser.add_argument("--crowd", type=float, default=1.0, help="share of the bad clients in `neighbours`; default: 1")
    parser.add_argument(
        "--out", type=Path, help="the folder that a failing run leaves; default: var/chaos/PROFILE-SEED"
    )
    parser.add_argument("--history", type=Path, help="write the run's history to this file, for ops/judge")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write a page of the run, one HTML file")
    add_json_option(parser)
    given = parser.parse_args(arguments)
    if given.seconds < SECONDS_MIN:
        parser.error(f"--seconds is at least {SECONDS_MIN}")
    rate = PROFILES[given.profile].rate if given.rate is None else given.rate
    if rate <= 0:
        parser.error("--rate is above 0")
    if not 0 < given.crowd <= 1:
        parser.error("--crowd is above 0, and at most 1")
    out = given.out or ROOT / "var" / "chaos" / f"{given.profile}-{given.seed}"
    history = given.history and given.history.absolute()
    report = given.report and given.report.absolute()
    return ChaosOptions(
        given.seconds, given.seed, given.profile, out.absolute(), rate, given.crowd, history, report, given.json
    )
