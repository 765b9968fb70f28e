"""The command line of `ops/chaos`."""

import pytest

from ops.process import ROOT
from ops.trial.options import parse_options
from ops.trial.profiles import PROFILES


def test_everything_has_a_default() -> None:
    options = parse_options([])
    assert (options.profile, options.seed, options.rate) == ("mix", 1, PROFILES["mix"].rate)
    assert options.out == ROOT / "var" / "chaos" / "mix-1"


def test_everything_can_be_said() -> None:
    arguments = ["--seconds", "7.5", "--seed", "3", "--profile", "gone", "--out", "/tmp/found", "--rate", "20"]  # noqa: S108  # it is only read
    options = parse_options(arguments)
    assert (options.seconds, options.seed, options.profile, options.rate) == (7.5, 3, "gone", 20)
    assert str(options.out) == "/tmp/found"  # noqa: S108  # the same


@pytest.mark.parametrize("arguments", [["--profile", "none"], ["--seconds", "1"], ["--rate", "0"], ["--seed", "x"]])
def test_nonsense_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_options(arguments)
    assert ended.value.code == 2
