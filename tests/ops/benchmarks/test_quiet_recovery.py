"""What the first payments after an outage cost that has ended, or not, while nobody posted."""

import pytest

from ops.benchmarks.policies import Policy
from ops.benchmarks.quiet_recovery import BURST, TABLE, Quiet, simulate_burst
from ops.benchmarks.runs import REPLICAS

pytestmark = pytest.mark.long

quiets = pytest.mark.parametrize("quiet", TABLE, ids=lambda quiet: quiet.name)


@quiets
def test_a_burst_after_a_quiet_recovery_pays_the_low_fee_and_one_into_an_outage_goes_on_soon(quiet: Quiet) -> None:
    figures = simulate_burst(quiet, Policy())
    if quiet.recovers and quiet.delay_s < Policy().slow_s:
        assert figures.settled == {"default": BURST}
    elif quiet.recovers:
        assert sum(figures.settled.values()) == BURST
        assert figures.settled["default"] <= figures.calls <= 2 * REPLICAS  # Probes and trials.
    else:
        assert figures.settled.keys() == {"fallback"}
        assert figures.settled_s <= Policy().patience.probe_s + 0.1


def test_a_processor_that_only_says_that_it_works_is_sent_a_few_probes() -> None:
    (quiet,) = (each for each in TABLE if not each.recovers and not each.delay_s)
    figures = simulate_burst(quiet, Policy())
    assert figures.settled == {"fallback": BURST}
    assert REPLICAS <= figures.calls <= 2 * REPLICAS
