"""The command line of `ops/chaos`."""

from pathlib import Path

import pytest

from ops.chaostest.options import parse_chaos_options
from ops.chaostest.profiles import PROFILES
from ops.environment import ROOT


def test_everything_has_a_default() -> None:
    options = parse_chaos_options([])
    assert (options.profile, options.seed, options.rate) == ("mix", 1, PROFILES["mix"].rate)
    assert options.out == ROOT / "var" / "chaos" / "mix-1"


def test_every_option_can_be_given() -> None:
    arguments = ["--seconds", "7.5", "--seed", "3", "--profile", "gone", "--out", "/tmp/found", "--rate", "20"]  # noqa: S108  # it is only read
    arguments += ["--crowd", "0.5"]
    options = parse_chaos_options(arguments)
    assert (options.seconds, options.seed, options.profile, options.rate) == (7.5, 3, "gone", 20)
    assert str(options.out) == "/tmp/found"  # noqa: S108  # it is only compared
    assert (options.crowd, options.history) == (0.5, None)
    assert parse_chaos_options(["--history", "h.jsonl"]).history == Path("h.jsonl").absolute()


@pytest.mark.parametrize(
    "arguments",
    [["--profile", "none"], ["--seconds", "1"], ["--rate", "0"], ["--crowd", "0"], ["--crowd", "2"], ["--seed", "x"]],
)
def test_senseless_options_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_chaos_options(arguments)
    assert ended.value.code == 2
