"""The model of what a gateway uses finds costs again that were planted, and says where it cannot tell."""

import pytest

from actors.domain.batching import BatchLimits
from ops.benchmarks.scaling_model import (
    JUDGED,
    RESOURCES,
    WAKE_UP_S,
    GatewayLoad,
    Sample,
    batches_per_s,
    cross_validate,
    drivers,
    error,
    fit,
    page_images,
    payments_per_s_max,
    predict,
    replicas_needed,
    with_totals,
)

LOADS = [
    GatewayLoad(replicas, rate, told)
    for replicas in (1, 3, 10)
    for rate, told in ((0, 0), (0, 4000), (24, 0), (60, 0), (240, 0))
]
PLANTED = {
    name: {driver: 1.0 + number for number, driver in enumerate(resource.drivers)}
    for name, resource in RESOURCES.items()
}


def samples_of(costs: dict[str, dict[str, float]]) -> list[Sample]:
    return [Sample(load, predict(costs, load)) for load in LOADS]


def test_planted_costs_are_found_again() -> None:
    found = fit(samples_of(PLANTED))
    assert found == {name: pytest.approx(costs) for name, costs in PLANTED.items()}


def test_each_size_is_predicted_from_the_others() -> None:
    samples = samples_of(PLANTED)
    for sample, predicted in zip(samples, cross_validate(samples), strict=True):
        assert predicted == pytest.approx(dict(sample.uses))


def test_a_size_that_behaves_otherwise_is_found_out() -> None:
    samples = [
        Sample(each.load, {name: value * (1.5 if each.load.replicas == 10 else 1) for name, value in each.uses.items()})
        for each in samples_of(PLANTED)
    ]
    (at_ten, *_) = [
        error("replicas_cpu_ms", predicted["replicas_cpu_ms"], sample.uses["replicas_cpu_ms"])
        for sample, predicted in zip(samples, cross_validate(samples), strict=True)
        if sample.load == GatewayLoad(10, 240)
    ]
    assert at_ten == pytest.approx(-1 / 3)


def test_no_cost_is_negative() -> None:
    samples = [
        Sample(each.load, {**each.uses, "postgres_leases_cpu_ms": -float(each.load.replicas)})
        for each in samples_of(PLANTED)
    ]
    costs = fit(samples)["postgres_leases_cpu_ms"]
    assert costs.keys() == {"replicas"}
    assert min(costs.values()) >= 0


def test_a_driver_that_never_varies_costs_nothing() -> None:
    at_rest = [sample for sample in samples_of(PLANTED) if not sample.load.payments_per_s]
    costs = fit(at_rest)["replicas_cpu_ms"]
    assert costs["payments"] == costs["deliveries"] == 0
    assert costs["replicas"] == pytest.approx(PLANTED["replicas_cpu_ms"]["replicas"])


@pytest.mark.parametrize(
    ("payments_per_s", "batches"),
    [(0, 0), (3, 6), (10, 20), (11, 10), (200, 10), (300, 15), (2000, 100), (50_000, 1000)],
)
def test_batches_are_spaced_as_persistence_spaces_them(payments_per_s: float, batches: float) -> None:
    assert batches_per_s(payments_per_s) == pytest.approx(batches)


def test_a_replica_hears_of_all_payments_its_own_included() -> None:
    numbers = drivers(GatewayLoad(10, 60, told_per_s=100))
    assert numbers["heard"] == 10 * 160
    assert numbers["pairs"] == 90
    assert numbers["tellings"] == 10 * 4 + 4
    assert numbers["entries"] == 440
    assert (numbers["deliveries"], numbers["batches"]) == pytest.approx((60, 120))


def test_payments_that_come_close_together_share_wake_ups() -> None:
    few, many = (drivers(GatewayLoad(1, rate))["wake_ups"] for rate in (1, 1000))
    assert few == pytest.approx(1, rel=0.01)
    assert many == pytest.approx(1 / WAKE_UP_S, rel=0.01)


def test_errors_are_shares_of_what_was_measured_unless_they_are_negligible() -> None:
    assert error("replicas_cpu_ms", 110, 100) == pytest.approx(0.1)
    assert error("replicas_cpu_ms", 90, 100) == pytest.approx(-0.1)
    assert error("replicas_cpu_ms", 4, 1) == 0
    assert error("replicas_cpu_ms", 6, 0) == float("inf")


def test_postgres_is_judged_as_a_whole() -> None:
    uses = with_totals(dict.fromkeys(RESOURCES, 2.0))
    assert uses["postgres_cpu_ms"] == 6
    assert uses.keys() >= JUDGED.keys()


def test_replicas_are_added_until_each_has_room() -> None:
    costs = PLANTED | {"replicas_cpu_ms": {"replicas": 20.0, "payments": 0.6, "heard": 0.006}}
    assert replicas_needed(costs, 100, 0.6) == 1
    needed = replicas_needed(costs, 6000, 0.6)
    assert needed is not None
    for replicas, has_room in ((needed, True), (needed - 1, False)):
        used_ms = predict(costs, GatewayLoad(replicas, 6000))["replicas_cpu_ms"]
        assert (used_ms <= 600 * replicas) is has_room


def test_no_number_of_replicas_is_enough_where_hearing_alone_fills_a_core() -> None:
    costs = PLANTED | {"replicas_cpu_ms": {"replicas": 20.0, "payments": 0.6, "heard": 0.006}}
    assert replicas_needed(costs, 100_000, 0.6, replicas_max=500) is None


def test_a_writer_that_waits_longer_for_each_commit_writes_less() -> None:
    assert payments_per_s_max(0.005) == pytest.approx(10_000)
    assert payments_per_s_max(0.050) == pytest.approx(1000)
    assert payments_per_s_max(0.050, BatchLimits(items_max=50)) == pytest.approx(500)
    # Batches shrink where a commit takes longer than they aim at.
    assert payments_per_s_max(0.150) == pytest.approx(10 / 2 / 0.150)
    assert payments_per_s_max(6.0) == 0


def test_random_keys_log_a_page_each_in_a_large_table_and_hardly_any_in_a_small_one() -> None:
    assert page_images(1e9, 200, 10_000) == pytest.approx(1, abs=0.002)
    assert page_images(20_000, 200, 100_000) == pytest.approx(100 / 100_000)
    assert page_images(400_000, 200, 2000) == pytest.approx(0.632, abs=0.001)
    assert page_images(10, 200, 50) == pytest.approx(1 / 50)
    assert page_images(1e6, 200, 0) == 1
