"""The command line of ops/bare."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from ops.arguments import add_json_option, make_parser
from ops.baretest.machines import MACHINES, Machine

COMMAND = "ops/bare"
QUICK_TESTS = ("--numprocesses=2", "--dist=loadfile", "tests/actors/adapters", "tests/gateway", "tests/ops/stack")
"""What ops/test is given by default: the parts that touch the machine, over the embedded PostgreSQL and Redis."""


@dataclass(frozen=True, slots=True)
class BareOptions:
    """Which machines are tried, and how."""

    machines: tuple[Machine, ...]
    test_arguments: tuple[str, ...]
    """What ops/test is given; nothing for all tests but the long ones."""
    run_options: tuple[str, ...]
    """What `docker run` is given beside its own."""
    as_json: bool


def parse_bare_options(arguments: Sequence[str]) -> BareOptions:
    """Read the command line."""
    parser = make_parser(
        COMMAND,
        "Prove that a checkout needs Python and its venv alone. In a container for each machine, as a user who is not "
        "root: a clone of the last commit answers `ops/up --help` without an installation, `ops/up` gets ready and "
        "settles a payment, `ops/test` passes, and `ops/up` starts again without a network.",
        kept="all of that holds on every machine that was named",
        broken="something does not hold on one of them",
        takes="some 6 minutes for each machine on two cores; with --whole as much as ops/test longer",
        examples={
            COMMAND: "all machines",
            f"{COMMAND} debian-12 3.14 --whole": "two of them, with all tests but the long ones",
            f"{COMMAND} --run-option=--env=PIP_INDEX_URL": "let pip in the containers ask another index",
        },
        notes="It needs git, and Docker with the public images or the means to pull them: "
        + ", ".join(machine.image for machine in MACHINES.values())
        + ". Containers are removed; the images that are made, fiel-bare:MACHINE, stay for the next run.",
    )
    names = ", ".join(MACHINES)
    parser.add_argument("machines", nargs="*", type=_machine, metavar="MACHINE", help=f"{names}; default: all")
    parser.add_argument(
        "--whole",
        action="store_true",
        help="run ops/test without arguments, not only the tests of adapters, gateway and stack",
    )
    passed_on = "an option for docker run, passed on as it is; may be repeated"
    parser.add_argument("--run-option", action="append", default=[], metavar="OPTION", help=passed_on)
    add_json_option(parser)
    given = parser.parse_args(arguments)
    return BareOptions(
        machines=tuple(dict.fromkeys(given.machines)) or tuple(MACHINES.values()),
        test_arguments=() if given.whole else QUICK_TESTS,
        run_options=tuple(given.run_option),
        as_json=given.json,
    )


def _machine(name: str) -> Machine:
    if name not in MACHINES:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(MACHINES)}")
    return MACHINES[name]
