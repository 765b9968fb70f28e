"""Parts of runs of a cluster for tests."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from ops.chaostest.checker import check_history
from ops.chaostest.history import History
from ops.chaostest.history_file import records_of
from ops.clustertest.availability import Gaps
from ops.clustertest.chaos_options import ClusterChaosOptions
from ops.clustertest.chaos_result import ClusterChaosResult, ClusterFigures
from ops.judge import judge

_numbers = itertools.count(1)


def payment_id() -> UUID:
    """Make an id that no other payment has."""
    return UUID(int=next(_numbers))


def result_of(
    history: History, *, rest_s: float | None = 2.0, unhealed: Sequence[str] = (), payments: int = 0, faults: int = 0
) -> ClusterChaosResult:
    """Make the result of a run with some faults."""
    options = ClusterChaosOptions(60.0, payments, faults, 10.0, 3, Path("/nowhere"))
    figures = ClusterFigures(
        {"kill_host": 2, "cut_link": 3}, 1, 2, 3, 60.0, Gaps(4.0, 9.0), {}, Gaps(6.0, 12.0), 5.0, rest_s
    )
    judged = judge(records_of(history))
    return ClusterChaosResult(options, check_history(history), judged, figures, "abc1234", unhealed)
