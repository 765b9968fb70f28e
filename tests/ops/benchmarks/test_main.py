"""The command line of `ops/bench`."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence

import pytest

from ops import OpsError
from ops.benchmarks import __main__ as bench
from ops.benchmarks import routing
from ops.benchmarks.quiet_recovery import TABLE
from ops.benchmarks.routing import BREAKER_GRID
from ops.environment import ROOT

SMALL = {
    "routing": ["--tables", "1", "--users", "5", "--runs", "1", "--replicas", "1"],
    "breaker": ["--calls", "4000", "--outages", "2"],
    "http": ["--rounds", "1", "--seconds", "0.1", "--requests", "64"],
}


def last_line(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    assert bench.main(arguments) == 0
    result: dict[str, object] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return result


def test_its_help_lists_the_names() -> None:
    done = subprocess.run(  # noqa: S603  # our own script
        [sys.executable, ROOT / "ops" / "bench", "--help"], check=True, capture_output=True, text=True
    )
    for name in ("routing", "breaker", "recovery", "cost", "slices", "memory", "http", "summary"):
        assert name in done.stdout


@pytest.mark.parametrize("arguments", [[], ["none"], ["routing", "--tables", "x"]])
def test_nonsense_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        bench.main(arguments)
    assert ended.value.code == 2


@pytest.mark.long
def test_routing_ends_with_its_figures(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing, "TABLE", TABLE[:1])
    result = last_line(capsys, "routing", *SMALL["routing"])
    assert result["benchmark"] == "routing"
    assert {"tables", "seed", "policies", "ratio_to_baselines", "ratio_to_baseline"} <= result.keys()
    policies = result["policies"]
    assert isinstance(policies, dict)
    assert list(policies) == ["fiel", "default only", "fallback at once", "three tries then fallback"]
    assert {"preview_profit", "final_share_of_best", "mean_at_5/15 %", "worst_at_7/10 %"} <= policies["fiel"].keys()


@pytest.mark.long
def test_a_sweep_tells_the_best_value_of_each_parameter(capsys: pytest.CaptureFixture[str]) -> None:
    small = ("--tables", "0", "--users", "5", "--runs", "1", "--replicas", "1")
    result = last_line(capsys, "routing", *small, "--sweep", "calls_min")
    best = result["best_by_parameter"]
    assert isinstance(best, dict)
    assert list(best) == ["calls_min"]
    assert best["calls_min"]["value"] in BREAKER_GRID["calls_min"]


def test_breaker_ends_with_its_figures(capsys: pytest.CaptureFixture[str]) -> None:
    result = last_line(capsys, "breaker", *SMALL["breaker"])
    assert result["benchmark"] == "breaker"
    assert {"calls", "false_opens_per_million", "outages", "ratio_to_baseline", "ok"} <= result.keys()
    opens, outages = result["false_opens_per_million"], result["outages"]
    assert isinstance(opens, dict)
    assert isinstance(outages, dict)
    assert {name: list(rates) for name, rates in opens.items()} == {
        "breaker": ["1%", "5%", "10%", "40%"],
        "five in a row": ["1%", "5%", "10%", "40%"],
    }
    assert list(outages) == ["2/s", "20/s", "60/s", "180/s"]
    assert {"open_s", "close_s", "probes_per_recovery"} <= outages["60/s"].keys()


@pytest.mark.long
def test_http_ends_with_the_cpu_of_both_workers(capsys: pytest.CaptureFixture[str]) -> None:
    result = last_line(capsys, "http", *SMALL["http"])
    assert result["benchmark"] == "http"
    cpu_us, ratios = result["cpu_us_per_request"], result["ratio_to_baseline"]
    assert isinstance(cpu_us, dict)
    assert isinstance(ratios, dict)
    assert {manner: list(figures) for manner, figures in cpu_us.items()} == {
        "paced": ["gateway", "gevent"],
        "saturated": ["gateway", "gevent"],
    }
    assert all(ratio > 0 for ratio in ratios.values())


def mine(ending: Callable[[Sequence[str]], dict[str, object]]) -> dict[str, bench.Benchmark]:
    return {"mine": bench.Benchmark("what I want to know", "a moment", ending)}


def test_a_missed_target_is_an_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    ending = mine(lambda given: {"given": given, "target": "less than 3 s", "ratio_to_target": 1.5, "ok": False})
    assert bench.main(["mine", "x"], ending) == 1
    shown = capsys.readouterr()
    words = "Missed: less than 3 s; 1.5 times the target."
    figures = {"given": ["x"], "target": "less than 3 s", "ratio_to_target": 1.5, "ok": False}
    assert json.loads(shown.out) == {"benchmark": "mine", **figures, "verdict": words}
    assert shown.err == f"{words}\n"


def test_json_may_stand_before_and_behind_the_name_and_silences_the_words(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--json", "mine", "x"], ["mine", "x", "--json"]):
        assert bench.main(arguments, mine(lambda given: {"given": given})) == 0
        shown = capsys.readouterr()
        assert json.loads(shown.out)["given"] == ["x"]
        assert shown.err == ""


def test_one_that_cannot_be_run_or_is_interrupted_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(_: Sequence[str]) -> dict[str, object]:
        raise OpsError("port 1 is not free")

    def interrupt(_: Sequence[str]) -> dict[str, object]:
        raise KeyboardInterrupt

    assert bench.main(["mine"], mine(fail)) == 3
    assert bench.main(["mine"], mine(interrupt)) == 130
    assert capsys.readouterr() == ("", "ops/bench: port 1 is not free\nops/bench: interrupted\n")


def test_only_the_benchmark_that_is_run_is_imported() -> None:
    script = "import sys, ops.benchmarks.__main__; print(*(name for name in sys.modules if name in sys.argv))"
    command = [sys.executable, "-c", script, "uvloop", "gevent", "rich", "ops.benchmarks.cost"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)  # noqa: S603  # our own script
    assert done.stdout == "\n"
