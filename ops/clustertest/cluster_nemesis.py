"""The nemesis of a cluster: begins drawn faults where the roles are at that moment, and ends them all at last."""

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ops import OpsError
from ops.chaostest.nemesis import InjectedFault
from ops.chaostest.schedule import ScheduledFault
from ops.chaostest.threads import ThreadGroup
from ops.clustertest.chaos_limits import WIPE, why_left_out
from ops.clustertest.chaos_targets import is_link, resolve_roles
from ops.clustertest.cluster_faults import ClusterFaults
from ops.clustertest.cluster_watch import ClusterWatch

SERVICE_STEP_S = 0.25
RETRY_STEP_S = 1.0
HEAL_S_MAX = 60.0


@dataclass(frozen=True, slots=True)
class LeftOutFault:
    """A fault that was drawn and not injected, and why."""

    fault: ScheduledFault
    reason: str


class ClusterNemesis:
    """Injects faults with a thread for each; call `start` once, then `end_all` or `stop`."""

    def __init__(
        self,
        faults: ClusterFaults,
        watch: ClusterWatch,
        drawn: Iterator[ScheduledFault],
        hosts: Sequence[str],
        say: Callable[[str], None],
        *,
        wipes: bool = True,
        spare_copies: bool = True,
    ) -> None:
        """Inject nothing yet.

        Args:
            faults: begins and ends each of them.
            watch: knows which host is the primary.
            drawn: the faults, in the order of their starts.
            hosts: the names of all hosts.
            say: is called with what fails.
            wipes: whether disks may be wiped at all; not if the only copy of payments is in a journal on one of them.
            spare_copies: whether a disk is wiped only while all copies are whole.
        """
        self._faults = faults
        self._watch = watch
        self._drawn = drawn
        self._hosts = hosts
        self._say = say
        self._wipes = wipes
        self._spare_copies = spare_copies
        self._lock = threading.Lock()
        self._current: list[ScheduledFault] = []
        self._injected: list[InjectedFault] = []
        self._left_out: list[LeftOutFault] = []
        self._disturbed_at_s = -math.inf
        self._began_s = 0.0
        self._threads = ThreadGroup()
        self._threads.add("cluster-nemesis", self._follow)
        self._service = ThreadGroup()
        self._service.add("cluster-service", self._restart_again)
        self._carriers: list[threading.Thread] = []

    @property
    def counts(self) -> Counter[str]:
        """How many faults of each kind were injected."""
        return Counter(kind_of(each.fault) for each in self.injected)

    @property
    def current(self) -> list[ScheduledFault]:
        """The faults that are active at the moment."""
        with self._lock:
            return list(self._current)

    @property
    def injected(self) -> list[InjectedFault]:
        """All faults so far, in the order of their starts."""
        with self._lock:
            return list(self._injected)

    @property
    def left_out(self) -> list[LeftOutFault]:
        """The faults that were drawn and not injected."""
        with self._lock:
            return list(self._left_out)

    @property
    def partitions(self) -> int:
        """How many faults have cut links between hosts so far; a fault that cuts several links counts once."""
        return sum(each.fault.fault == "cut" and "outside" not in each.fault.target for each in self.injected)

    def quiet_s(self) -> float:
        """Tell the seconds since the last fault ended; 0 while there is one."""
        with self._lock:
            return 0.0 if self._current else time.monotonic() - self._disturbed_at_s

    def start(self) -> None:
        """Start the clock of the faults, and from now on restart what has ended."""
        self._began_s = time.monotonic()
        self._service.start()
        self._threads.start()

    def stop(self) -> None:
        """Begin and end no more faults, and restart nothing more; may be called again."""
        self._threads.stop()
        for carrier in self._carriers:
            carrier.join()
        self._service.stop()

    def end_all(self) -> None:
        """Begin no more faults, end those that are active, and heal all that is left.

        Raises:
            OpsError: something could not be healed in time.
        """
        self._threads.stop()
        for carrier in self._carriers:
            carrier.join()
        deadline_s = time.monotonic() + HEAL_S_MAX
        while True:
            try:
                self._faults.heal_all()
            except OpsError as error:
                if time.monotonic() > deadline_s:
                    raise
                self._say(f"not healed yet: {error}")
                time.sleep(RETRY_STEP_S)
            else:
                return

    def _follow(self) -> None:
        for drawn in self._drawn:
            if self._threads.stopping.wait(max(0.0, self._began_s + drawn.at_s - time.monotonic())):
                return
            fault = resolve_roles(drawn, self._watch.primary, self._hosts)
            is_whole = fault.fault != WIPE or (self._wipes and self._watch.copies_are_whole())
            spare = self._spare_copies
            with self._lock:
                reason = why_left_out(fault, self._current, self._hosts, copies_are_whole=is_whole, spare_copies=spare)
                if reason is not None:
                    self._left_out.append(LeftOutFault(fault, reason))
                    continue
                self._current.append(fault)
                injected = InjectedFault(fault, self._now_s())
                self._injected.append(injected)
            carrier = threading.Thread(target=self._carry_out, args=(injected,), name=f"fault at {drawn.at_s}")
            self._carriers = [each for each in self._carriers if each.is_alive()] + [carrier]
            carrier.start()

    def _carry_out(self, injected: InjectedFault) -> None:
        fault = injected.fault
        try:
            self._faults.begin(fault)
            self._threads.stopping.wait(fault.duration_s)
        except OpsError as error:
            self._say(f"{fault.fault} {fault.target} did not begin: {error}")
        while True:
            try:
                self._faults.end(fault)
            except OpsError as error:
                self._say(f"{fault.fault} {fault.target} does not end: {error}")
                if self._threads.stopping.wait(RETRY_STEP_S):
                    break
            else:
                break
        with self._lock:
            self._current.remove(fault)
            injected.ended_s = self._now_s()
            self._disturbed_at_s = time.monotonic()
        self._watch.note_state(fault)

    def _restart_again(self) -> None:
        while not self._service.stopping.wait(SERVICE_STEP_S):
            try:
                self._faults.watch()
            except OpsError as error:
                self._say(str(error))

    def _now_s(self) -> float:
        return round(time.monotonic() - self._began_s, 2)


def kind_of(fault: ScheduledFault) -> str:
    """Name the kind under which a fault is counted, such as `kill_host` or `kill_postgres`."""
    if is_link(fault):
        return f"{fault.fault}_link_to_processors" if "outside" in fault.target else f"{fault.fault}_link"
    whole, slash, part = fault.target.partition("/")
    if slash:
        return f"{fault.fault}_{part.partition('-')[0]}"
    return (
        f"{fault.fault}_host"
        if whole[:1] == "h" and whole[1:].isdigit()
        else f"{fault.fault}_{whole}".replace("-", "_")
    )
