"""`ops/bench memory` fills a real replica with payments that settle, and with payments that cannot."""

import json

import pytest

from ops.benchmarks import __main__ as bench


@pytest.mark.parametrize("arguments", [["--payments", "0"], ["--rate", "-1"], ["--rate", "nan"]])
def test_nonsense_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        bench.main(["memory", *arguments])
    assert ended.value.code == 2


@pytest.mark.long
def test_a_short_run_of_a_real_replica_gives_three_peaks(capsys: pytest.CaptureFixture[str]) -> None:
    bench.main(["memory", "--payments", "50", "--rate", "100"])
    (line,) = capsys.readouterr().out.splitlines()
    result = json.loads(line)
    assert (result["benchmark"], result["payments"], result["rate"]) == ("memory", 50, 100)
    peaks = [result[name] for name in ("after", "waiting", "both")]
    assert all(peak["peak_mb"] > 10 for peak in peaks)
    assert [(peak["accepted"], peak["failed"], peak["unsettled"]) for peak in peaks] == [(50, 0, 0)] * 3
    worst_mb = max(peak["peak_mb"] for peak in peaks)
    assert result["ratio_to_target"] == pytest.approx(worst_mb / 70, abs=0.001)
    assert result["ok"] == (worst_mb <= 70)
