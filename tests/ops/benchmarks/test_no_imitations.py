"""What is benchmarked in virtual time is the product: `ops` has no router, processor, health or breaker of its own."""

from random import Random

from actors.actor import Actor
from ops.benchmarks.policies import Policy
from ops.benchmarks.runs import start_gateway
from ops.environment import ROOT
from tests.test_architecture import imports

FOLDERS = ("ops/benchmarks", "ops/simulation")
MACHINES = tuple(
    f"actors.domain.{name}"
    for name in (
        "breaker.Breaker",
        "charge_gate.ChargeGate",
        "dispatcher.Dispatcher",
        "lifecycle.Lifecycle",
        "quorum.quorum_found_down",
        "rate_limiter.RateLimiter",
        "routing.choose",
    )
)
"""Who imports one of these outside `actors` drives it by itself."""
MEASURED = {"ops/benchmarks/breaker.py": "actors.domain.breaker.Breaker"}
"""What a benchmark measures by itself."""


def test_the_actors_of_the_gateway_that_routing_measures_are_the_products_own() -> None:
    gateway = start_gateway(Policy(), Random(1))
    for replica in gateway.replicas.values():
        actors = {mailbox.actor for mailbox in replica.mailboxes.values()}
        assert len(actors) == len(replica.mailboxes) == 8
        for actor in actors:
            assert isinstance(actor, Actor)
            assert type(actor).__module__.startswith("actors.")


def test_nobody_but_the_product_drives_its_machines() -> None:
    found = {
        (path.relative_to(ROOT).as_posix(), imported)
        for folder in FOLDERS
        for path in sorted((ROOT / folder).glob("*.py"))
        for imported in imports(".".join(path.relative_to(ROOT).with_suffix("").parts), path)
        if imported in MACHINES
    }
    assert found == set(MEASURED.items())
