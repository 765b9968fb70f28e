"""The nemesis of a cluster injects what is drawn where the primary is, ends it, and heals until nothing is wrong."""

from collections.abc import Iterator, Sequence
from typing import cast

import pytest

from ops import OpsError
from ops.chaostest.schedule import ScheduledFault
from ops.clustertest.cluster_faults import ClusterFaults
from ops.clustertest.cluster_nemesis import ClusterNemesis, kind_of
from ops.clustertest.cluster_watch import ClusterWatch
from tests.waiting import wait_until

HOSTS = ("h1", "h2", "h3")
LONG_S = 600.0


class FakeFaults:
    """Notes what it is told; some orders fail."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.watched = 0
        self.failures: dict[str, int] = {}

    def begin(self, fault: ScheduledFault) -> None:
        self._tell("begin", fault.target)

    def end(self, fault: ScheduledFault) -> None:
        self._tell("end", fault.target)

    def watch(self) -> None:
        self.watched += 1

    def heal_all(self) -> None:
        self._tell("heal", "all")

    def _tell(self, what: str, target: str) -> None:
        self.told.append((what, target))
        if self.failures.get(what, 0) > 0:
            self.failures[what] -= 1
            raise OpsError(f"{what} fails")


class FakeWatch:
    """Knows the primary, and notes after which faults it was asked for the state."""

    primary = "h2"

    def __init__(self) -> None:
        self.noted: list[str] = []
        self.whole = True

    def copies_are_whole(self) -> bool:
        return self.whole

    def note_state(self, fault: ScheduledFault) -> None:
        self.noted.append(fault.target)


class Nemeses:
    """Makes nemeses over fakes, and ends them."""

    def __init__(self) -> None:
        self.faults, self.watch = FakeFaults(), FakeWatch()
        self.said: list[str] = []
        self.made: list[ClusterNemesis] = []

    def start(self, *drawn: ScheduledFault, wipes: bool = True) -> ClusterNemesis:
        faults, watch = cast("ClusterFaults", self.faults), cast("ClusterWatch", self.watch)
        nemesis = ClusterNemesis(faults, watch, iter(drawn), HOSTS, self.said.append, wipes=wipes)
        self.made.append(nemesis)
        nemesis.start()
        return nemesis


@pytest.fixture
def nemeses() -> Iterator[Nemeses]:
    made = Nemeses()
    yield made
    for nemesis in made.made:
        nemesis.stop()


def left_out(nemesis: ClusterNemesis) -> Sequence[str]:
    return [each.reason for each in nemesis.left_out]


def test_a_fault_is_injected_where_the_primary_is_and_its_end_is_noted(nemeses: Nemeses) -> None:
    nemesis = nemeses.start(ScheduledFault(0, "kill", "primary", 0), ScheduledFault(0.01, "cut", "primary>peers", 0))
    wait_until(lambda: sorted(nemeses.watch.noted) == ["h2", "h2>peers"])
    assert sorted(nemeses.faults.told) == sorted((what, at) for what in ("begin", "end") for at in ("h2", "h2>peers"))
    assert nemesis.counts == {"kill_host": 1, "cut_link": 1}
    assert nemesis.partitions == 1
    assert all(each.ended_s is not None for each in nemesis.injected)
    assert nemesis.quiet_s() > 0


def test_what_ends_is_restarted_while_faults_go_on(nemeses: Nemeses) -> None:
    nemeses.start()
    wait_until(lambda: nemeses.faults.watched > 1)


def test_a_fault_that_does_not_end_is_ended_again(nemeses: Nemeses) -> None:
    nemeses.faults.failures["end"] = 1
    nemesis = nemeses.start(ScheduledFault(0, "wipe", "standby-1", 0))
    wait_until(lambda: not nemesis.current and bool(nemesis.injected))
    assert nemeses.faults.told == [("begin", "h1"), ("end", "h1"), ("end", "h1")]
    assert nemeses.said == ["wipe h1 does not end: end fails"]


def test_all_faults_end_at_last_and_healing_is_tried_until_it_succeeds(nemeses: Nemeses) -> None:
    nemeses.faults.failures["heal"] = 1
    nemesis = nemeses.start(ScheduledFault(0, "kill", "primary", LONG_S), ScheduledFault(LONG_S, "kill", "primary", 0))
    wait_until(lambda: len(nemesis.current) == 1)
    assert nemesis.quiet_s() == 0
    nemesis.end_all()
    assert not nemesis.current
    assert nemeses.faults.told == [("begin", "h2"), ("end", "h2"), ("heal", "all"), ("heal", "all")]


def test_a_wipe_is_left_out_where_copies_are_missing_or_the_journal_is_the_only_one(nemeses: Nemeses) -> None:
    wipe = ScheduledFault(0, "wipe", "primary", LONG_S)
    without = nemeses.start(wipe, wipes=False)
    nemeses.watch.whole = False
    missing = nemeses.start(wipe)
    wait_until(lambda: bool(without.left_out and missing.left_out))
    assert left_out(without) == left_out(missing) == ["a disk is wiped only while all copies are whole"]
    assert nemeses.faults.told == []


@pytest.mark.parametrize(
    ("fault", "target", "kind"),
    [
        ("kill", "h1", "kill_host"),
        ("kill", "every-host", "kill_every_host"),
        ("kill", "h3/replica-2", "kill_replica"),
        ("cut", "h1<>h2", "cut_link"),
        ("cut", "h1<>outside", "cut_link_to_processors"),
        ("fill", "h1/disk-journal", "fill_disk"),
        ("switchover", "patroni", "switchover_patroni"),
        ("restart", "every-replica", "restart_every_replica"),
    ],
)
def test_faults_are_counted_by_what_they_hit(fault: str, target: str, kind: str) -> None:
    assert kind_of(ScheduledFault(0, fault, target, 1)) == kind
