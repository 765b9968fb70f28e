"""A model of what a gateway uses: which numbers drive each part's use, what each of them costs, and what follows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import expm1, inf, log1p

from actors.domain.batching import BatchLimits, BatchSpacing
from actors.domain.lease_watch import LEASE_S

ITEMS_PER_PAYMENT = 2
"""A claim and a settlement."""
WITHIN = 0.15
"""Largest error of a prediction, as a share of what was measured."""
PAGE_BYTES = 8192
FILL_ROUNDS_MAX = 50


@dataclass(frozen=True, slots=True)
class Load:
    """What a gateway has to do."""

    replicas: int
    payments_per_s: float
    """Accepted, charged and settled by all replicas together."""
    told_per_s: float = 0.0
    """Ids of payments that each replica hears of from others than these replicas."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What was measured under one load: each resource's use in a second."""

    load: Load
    uses: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Resource:
    """Something that a gateway uses, and the numbers that its use is a sum of."""

    drivers: tuple[str, ...]
    negligible: float
    """An error of a prediction up to this counts for nothing."""


RESOURCES: Mapping[str, Resource] = {
    "replicas_cpu_ms": Resource(("replicas", "pairs", "payments", "batches", "heard"), 3.0),
    "postgres_leases_cpu_ms": Resource(("replicas", "pairs"), 3.0),
    "postgres_batches_cpu_ms": Resource(("payments", "batches"), 3.0),
    "postgres_other_cpu_ms": Resource(("servers", "replicas", "batches"), 3.0),
    "redis_cpu_ms": Resource(("servers", "replicas", "pairs", "heard"), 3.0),
    "batches": Resource(("batches",), 1.0),
    "commits": Resource(("replicas", "batches"), 3.0),
    "wal_bytes": Resource(("replicas", "payments", "batches"), 5000.0),
    "redis_commands": Resource(("replicas", "pairs"), 5.0),
    "redis_sent_bytes": Resource(("replicas", "pairs", "heard"), 5000.0),
}
"""What is measured, and modelled, in a second. CPU is that of all processes of the part."""

Costs = Mapping[str, Mapping[str, float]]
"""What one unit of each driver costs, by resource."""


def batches_per_s(payments_per_s: float, limits: BatchLimits | None = None) -> float:
    """Tell how often one replica commits a batch, as persistence spaces them at this rate."""
    limits = limits or BatchLimits()
    items_per_s = ITEMS_PER_PAYMENT * payments_per_s
    if not items_per_s:
        return 0.0
    spacing = BatchSpacing(limits)
    spacing.added(0, 0.0)
    spacing.added(round(1000 * items_per_s), 1000.0)
    # What comes while a batch waits for its time goes with it; what is more than a batch holds needs another one.
    return max(min(items_per_s, 1 / spacing.spacing_s), items_per_s / limits.items_max)


def drivers(load: Load) -> dict[str, float]:
    """Give the numbers that uses are sums of, each in a second or as a count."""
    replicas, payments_per_s = load.replicas, load.payments_per_s
    return {
        "servers": 1.0,
        "replicas": float(replicas),
        "pairs": float(replicas * (replicas - 1)),
        "payments": payments_per_s,
        "batches": replicas * batches_per_s(payments_per_s / replicas),
        "heard": payments_per_s * (replicas - 1) + load.told_per_s * replicas,
    }


def predict(costs: Costs, load: Load) -> dict[str, float]:
    """Tell what a gateway uses in a second under a load."""
    numbers = drivers(load)
    return {
        name: sum(cost * numbers[driver] for driver, cost in by_driver.items()) for name, by_driver in costs.items()
    }


def fit(samples: Sequence[Sample]) -> dict[str, dict[str, float]]:
    """Find what each driver costs: the costs of zero or more with the least sum of squared relative errors."""
    return {name: _fit_one(name, resource, samples) for name, resource in RESOURCES.items()}


def cross_validate(samples: Sequence[Sample]) -> list[dict[str, float]]:
    """Predict each sample from costs that were found in all others alone."""
    return [
        predict(fit([other for other in samples if other is not sample]), sample.load) for sample in samples
    ]


def error(name: str, predicted: float, measured: float) -> float:
    """Tell how far a prediction is off, as a share of what was measured; 0 where it is negligible."""
    off = predicted - measured
    if abs(off) <= RESOURCES[name].negligible:
        return 0.0
    return off / measured if measured else inf


def replicas_needed(costs: Costs, payments_per_s: float, share_max: float, replicas_max: int = 10_000) -> int | None:
    """Tell how many replicas keep each below a share of its core; None where no number does.

    More replicas share the payments, but each hears of all of them, and looks at all others.
    """
    for replicas in range(1, replicas_max + 1):
        if predict(costs, Load(replicas, payments_per_s))["replicas_cpu_ms"] <= 1000 * share_max * replicas:
            return replicas
    return None


def payments_per_s_max(commit_s: float, limits: BatchLimits | None = None) -> float:
    """Tell how many payments one replica's writer commits in a second, where each commit takes so long.

    It commits one batch after the other. One that takes longer than a lease never helps.
    """
    limits = limits or BatchLimits()
    return 0.0 if commit_s >= LEASE_S else limits.items_max / ITEMS_PER_PAYMENT / commit_s


def page_images(rows: float, rows_per_page: float, inserts: float) -> float:
    """Tell how many pages of an index each insert has Postgres log whole, where keys are random.

    A page is logged whole when it is changed first after a checkpoint. `inserts` are those between two checkpoints.
    """
    pages = max(1.0, rows / rows_per_page)
    if inserts <= 0:
        return 1.0
    if pages <= 1:
        return 1 / inserts
    return -pages * expm1(inserts * log1p(-1 / pages)) / inserts


def _fit_one(name: str, resource: Resource, samples: Sequence[Sample]) -> dict[str, float]:
    """Leave out the drivers whose costs would be negative, one after the other, the most negative first."""
    used = list(resource.drivers)
    rows = [drivers(sample.load) for sample in samples]
    measured = [sample.uses[name] for sample in samples]
    weights = [1 / max(each, resource.negligible) for each in measured]
    while used:
        costs = _least_squares(
            [[row[driver] * weight for driver in used] for row, weight in zip(rows, weights, strict=True)],
            [each * weight for each, weight in zip(measured, weights, strict=True)],
        )
        negative = [(cost, driver) for cost, driver in zip(costs, used, strict=True) if cost < 0]
        if not negative:
            return dict.fromkeys(resource.drivers, 0.0) | dict(zip(used, costs, strict=True))
        used.remove(min(negative)[1])
    return dict.fromkeys(resource.drivers, 0.0)


def _least_squares(rows: Sequence[Sequence[float]], wanted: Sequence[float]) -> list[float]:
    """Solve the normal equations by elimination; a column that others explain whole gets 0."""
    size = len(rows[0])
    scales = [max(abs(row[column]) for row in rows) or 1.0 for column in range(size)]
    scaled = [[value / scale for value, scale in zip(row, scales, strict=True)] for row in rows]
    matrix = [
        [sum(row[one] * row[other] for row in scaled) for other in range(size)]
        + [sum(row[one] * each for row, each in zip(scaled, wanted, strict=True))]
        for one in range(size)
    ]
    solved: list[int] = []
    for column in range(size):
        free = [row for row in range(size) if row not in solved]
        pivot = max(free, key=lambda row: abs(matrix[row][column]))
        if abs(matrix[pivot][column]) < 1e-9:
            matrix = [[0.0 if at == column else value for at, value in enumerate(row)] for row in matrix]
            matrix[column][column] = matrix[column][column] or 1.0
            continue
        matrix[column], matrix[pivot] = matrix[pivot], matrix[column]
        solved.append(column)
        for row in range(size):
            if row != column:
                factor = matrix[row][column] / matrix[column][column]
                matrix[row] = [a - factor * b for a, b in zip(matrix[row], matrix[column], strict=True)]
    return [
        matrix[column][size] / matrix[column][column] / scales[column] if column in solved else 0.0
        for column in range(size)
    ]
