"""`ops/bench scaling` reads what parts use, checks a model of it, and says whether that holds by its exit status."""

import json
import time

import pytest

from actors.adapters.postgres.queries import QUERIES
from ops.benchmarks import __main__ as bench
from ops.benchmarks import scaling
from ops.benchmarks.scaling_model import JUDGED, RESOURCES, GatewayLoad, Sample, predict
from ops.benchmarks.scaling_readings import (
    CountReading,
    CpuReading,
    counted,
    cpu_ms_of,
    cpu_used,
    kind_of,
    read_cpu_ms,
)

COUNTS = {"batches": 10, "commits": 20, "wal_bytes": 3000, "redis_commands": 40, "redis_sent_bytes": 500}
COSTS = {
    name: {driver: 1.0 + number for number, driver in enumerate(resource.drivers)}
    for name, resource in RESOURCES.items()
}
LOADS = [GatewayLoad(replicas, rate) for replicas in (1, 3, 10) for rate in (0, 24, 60, 240)]


def test_what_is_used_is_the_difference_of_two_readings_in_a_second() -> None:
    before = CpuReading(10.0, 1000.0, {1: 5.0, 2: 50.0}, 7.0)
    # Two processes have started since.
    after = CpuReading(12.0, 1100.0, {1: 6.0, 2: 90.0, 3: 8.0, 4: 2.0}, 8.0)
    used = cpu_used(before, after, {2: "batches", 3: "leases"})
    assert used == {
        "replicas_cpu_ms": 50.0,
        "postgres_leases_cpu_ms": 4.0,
        "postgres_batches_cpu_ms": 20.0,
        "postgres_other_cpu_ms": 1.5,
        "redis_cpu_ms": 0.5,
    }
    now = CountReading(12.5, {name: 3 * count for name, count in COUNTS.items()})
    counts = counted(CountReading(10.5, COUNTS), now)
    assert counts == COUNTS
    assert used.keys() | counts.keys() == RESOURCES.keys()


def test_connections_are_told_apart_by_what_they_execute() -> None:
    queries = {name: query.decode() for name, query in QUERIES.items()}
    assert kind_of([queries["fence"]]) == kind_of([queries["write_claims"]]) == kind_of(["COMMIT"]) == "batches"
    assert kind_of([queries["settle"]]) == "batches"
    assert kind_of([queries["others"], queries["adopt"]]) == "leases"
    assert kind_of([queries["beat"]]) == kind_of([queries["identity"]]) == "leases"
    assert kind_of([queries["watermarks"], "SELECT 1"]) != "leases"
    assert kind_of(["SELECT 1"]) is None


def test_the_time_that_threads_have_run_is_added_up() -> None:
    assert cpu_ms_of(["1500000 7 3\n", "", "500000 1 1\n"]) == 2.0


def test_the_time_of_a_process_is_read_finer_than_in_hundredths_of_a_second() -> None:
    before_ms, began_s = read_cpu_ms("self"), time.process_time()
    while time.process_time() - began_s < 0.02:
        pass
    assert read_cpu_ms("self") - before_ms >= 10
    assert read_cpu_ms("none") == 0


def test_a_model_that_holds_is_told_with_its_costs_and_predictions() -> None:
    figures = scaling.conclude([Sample(load, predict(COSTS, load)) for load in LOADS])
    assert figures["ok"] is True
    assert figures["worst_errors"] == dict.fromkeys(JUDGED, 0.0)
    predictions = figures["predictions"]
    assert isinstance(predictions, dict)
    assert list(predictions) == ["1x", "10x", "30x", "50x", "100x", "1000x"]
    json.dumps(figures)


def test_one_that_does_not_hold_at_one_size_misses_its_target() -> None:
    samples = [Sample(load, predict(COSTS, load)) for load in LOADS]
    other = samples[-1]
    samples[-1] = Sample(other.load, {**other.uses, "replicas_cpu_ms": 2 * other.uses["replicas_cpu_ms"]})
    assert scaling.conclude(samples)["ok"] is False


def test_the_median_of_measurements_of_one_load_counts() -> None:
    rounds = [Sample(GatewayLoad(1, rate), {"a": used}) for rate, used in ((24, 1.0), (20, 400.0), (22, 2.0))]
    assert scaling.typical(rounds) == Sample(GatewayLoad(1, 22), {"a": 2.0})


@pytest.mark.parametrize(
    "arguments",
    [["--replicas", "3"], ["--rates", "60"], ["--replicas", "0,3"], ["--rates", "a,b"], ["--rounds", "0"]],
)
def test_nonsense_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        bench.main(["scaling", *arguments])
    assert ended.value.code == 2
