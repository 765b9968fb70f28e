"""A model of what a gateway uses: the numbers that drive the use of each part, what each costs, and predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import expm1, inf, log1p

from actors.adapters.postgres.connections import WRITE_S_MAX
from actors.domain.batching import BatchLimits, BatchSize, BatchSpacing
from actors.gossip import EXCHANGE_S

ITEMS_PER_PAYMENT = 2
"""A claim and a settlement."""
WITHIN = 0.15
"""Largest error of a prediction, as a share of what was measured."""
CPU_MS_NEGLIGIBLE = 5.0
"""Half a hundredth of a core."""
WAKE_UP_S = 0.010
"""Payments that come to one replica within this time share its wake-ups: found by measurements, as costs are."""
PAGE_BYTES = 8192
SINGULAR = 1e-9
"""A pivot below this counts as zero; the largest is about 1."""


@dataclass(frozen=True, slots=True)
class GatewayLoad:
    """What a gateway has to do."""

    replicas: int
    payments_per_s: float
    """Payments that all replicas together accept, charge and settle."""
    told_per_s: float = 0.0
    """Ids of payments that each replica hears of from a simulated peer."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What was measured under one load: each resource's use in a second."""

    load: GatewayLoad
    uses: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Resource:
    """Something that a gateway uses, and the numbers that its use depends on."""

    drivers: tuple[str, ...]
    negligible: float
    """An error of a prediction up to this counts for nothing."""


RESOURCES: Mapping[str, Resource] = {
    "replicas_cpu_ms": Resource(
        ("replicas", "pairs", "payments", "deliveries", "wake_ups", "heard"), CPU_MS_NEGLIGIBLE
    ),
    "postgres_leases_cpu_ms": Resource(("replicas",), CPU_MS_NEGLIGIBLE),
    "postgres_batches_cpu_ms": Resource(("payments", "deliveries", "batches"), CPU_MS_NEGLIGIBLE),
    "postgres_other_cpu_ms": Resource(("servers", "replicas", "batches"), CPU_MS_NEGLIGIBLE),
    "redis_cpu_ms": Resource(("servers", "replicas", "heard"), CPU_MS_NEGLIGIBLE),
    "batches": Resource(("batches",), 1.0),
    "commits": Resource(("replicas", "batches"), 3.0),
    "wal_bytes": Resource(("payments", "deliveries", "batches"), 40_000.0),
    "redis_commands": Resource(("replicas", "pairs", "tellings"), 5.0),
    "redis_sent_bytes": Resource(("replicas", "pairs", "entries", "heard"), 5000.0),
}
"""What is measured, and modelled, in a second. CPU is that of all processes of the part."""

KINDS = ("postgres_leases_cpu_ms", "postgres_batches_cpu_ms", "postgres_other_cpu_ms")
"""The parts of what Postgres uses: heartbeats, batches, and all else."""
JUDGED: Mapping[str, float] = {
    "postgres_cpu_ms": CPU_MS_NEGLIGIBLE,
    **{name: resource.negligible for name, resource in RESOURCES.items() if name not in KINDS},
}
"""The resources that have to be predicted well, and the error of each that counts for nothing."""

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
    # Items that come while a batch waits for its time join it; those beyond its size need another one.
    return max(min(items_per_s, 1 / spacing.spacing_s), items_per_s / limits.items_max)


def drivers(load: GatewayLoad) -> dict[str, float]:
    """Give the numbers that uses depend on, each per second or as a count."""
    replicas, payments_per_s = load.replicas, load.payments_per_s
    of_each_per_s = payments_per_s / replicas
    tellings = replicas * min(1 / EXCHANGE_S, of_each_per_s) + (1 / EXCHANGE_S if load.told_per_s else 0.0)
    batches = batches_per_s(of_each_per_s)
    return {
        "servers": 1.0,
        "replicas": float(replicas),
        "pairs": float(replicas * (replicas - 1)),
        "payments": payments_per_s,
        "deliveries": replicas * min(of_each_per_s, batches),
        "batches": replicas * batches,
        "wake_ups": replicas * -expm1(-of_each_per_s * WAKE_UP_S) / WAKE_UP_S,
        "tellings": tellings,
        "entries": tellings * replicas,
        # A replica reads what it has told itself, too.
        "heard": (payments_per_s + load.told_per_s) * replicas,
    }


def predict(costs: Costs, load: GatewayLoad) -> dict[str, float]:
    """Tell what a gateway uses in a second under a load."""
    numbers = drivers(load)
    return {
        name: sum(cost * numbers[driver] for driver, cost in by_driver.items()) for name, by_driver in costs.items()
    }


def fit(samples: Sequence[Sample]) -> dict[str, dict[str, float]]:
    """Find what each driver costs: the costs of zero or more with the least sum of squared relative errors."""
    return {name: _fit_one(name, resource, samples) for name, resource in RESOURCES.items()}


def cross_validate(samples: Sequence[Sample]) -> list[dict[str, float]]:
    """Predict each sample from costs that were found with other numbers of replicas alone."""
    sizes = {sample.load.replicas for sample in samples}
    costs = {size: fit([other for other in samples if other.load.replicas != size]) for size in sizes}
    return [predict(costs[sample.load.replicas], sample.load) for sample in samples]


def with_totals(uses: Mapping[str, float]) -> dict[str, float]:
    """Add what all of Postgres' processes use together."""
    return {**uses, "postgres_cpu_ms": sum(value for name, value in uses.items() if name in KINDS)}


def error(name: str, predicted: float, measured: float) -> float:
    """Tell how far a prediction is off, as a share of what was measured; 0 where it is negligible."""
    off = predicted - measured
    if abs(off) <= JUDGED[name]:
        return 0.0
    return off / measured if measured else inf


def replicas_needed(costs: Costs, payments_per_s: float, share_max: float, replicas_max: int = 10_000) -> int | None:
    """Tell how many replicas are needed to keep each below a share of its core; None where no number is enough.

    More replicas share the payments, but each hears of all payments, and reads the states of all others.
    """
    for replicas in range(1, replicas_max + 1):
        if predict(costs, GatewayLoad(replicas, payments_per_s))["replicas_cpu_ms"] <= 1000 * share_max * replicas:
            return replicas
    return None


def payments_per_s_max(commit_s: float, limits: BatchLimits | None = None) -> float:
    """Tell how many payments one replica's writer commits in a second, if each commit takes `commit_s`.

    It commits one batch after the other. While commits take longer than `BatchSize` aims at, batches shrink to the
    least; one that takes longer than persistence waits is given up.
    """
    limits = limits or BatchLimits()
    if commit_s >= WRITE_S_MAX:
        return 0.0
    items = limits.items_max if commit_s <= BatchSize.COMMIT_S_TARGET else BatchSize.ITEMS_MIN
    return items / ITEMS_PER_PAYMENT / commit_s


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
    """Solve the normal equations by elimination; a column that depends on others gets 0."""
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
        if abs(matrix[pivot][column]) < SINGULAR:
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
