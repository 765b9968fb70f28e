"""`ops/bench summary` asks a real Postgres through the product's own adapter."""

import json

import pytest

from ops.benchmarks import __main__ as bench


@pytest.mark.parametrize("arguments", [["--settlements", "0"], ["--questions", "7"], ["--seed", "x"]])
def test_nonsense_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        bench.main(["summary", *arguments])
    assert ended.value.code == 2


def test_a_small_run_gives_a_figure_for_each_window_table_and_number_of_askers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bench.main(["summary", "--settlements", "2000", "--questions", "16"])
    (line,) = capsys.readouterr().out.splitlines()
    result = json.loads(line)
    assert (result["benchmark"], result["settlements"], len(result["p99_ms"])) == ("summary", 2000, 2 * 4 * 2)
    assert all(0 < result["p50_ms"][name] <= p99_ms for name, p99_ms in result["p99_ms"].items())
    assert result["ok"] == (max(result["p99_ms"].values()) <= 20)
