"""One chaos run of a cluster, from the first process to the result."""

import json
import math
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from ops import OpsError
from ops.chaostest.checker import check_history
from ops.chaostest.history_file import write_history
from ops.chaostest.load_generator import LoadGenerator
from ops.chaostest.moment_probe import MomentProbe
from ops.chaostest.observed_run import ObservedRun
from ops.chaostest.page import make_page
from ops.chaostest.progress import ProgressTable
from ops.chaostest.record_sources import RecordSources
from ops.chaostest.report import current_commit, keep_findings, keep_state
from ops.chaostest.summary_probe import SummaryProbe, now_ms
from ops.chaostest.suspects import ask_histories, suspects_of
from ops.chaostest.threads import Worker
from ops.clustertest.chaos_choices import LOSING, SERIES
from ops.clustertest.chaos_figures import gaps_by_replica, gaps_without_202, gaps_without_charge
from ops.clustertest.chaos_options import ClusterChaosOptions
from ops.clustertest.chaos_result import ClusterChaosResult, ClusterFigures
from ops.clustertest.chaos_schedule import draw_cluster_faults
from ops.clustertest.cluster import HostCluster
from ops.clustertest.cluster_audit import has_come_to_rest, read_history, replicas_by_url, sources_of
from ops.clustertest.cluster_faults import ClusterFaults
from ops.clustertest.cluster_nemesis import ClusterNemesis
from ops.clustertest.cluster_watch import ClusterWatch
from ops.clustertest.lost_answers import without_lost_answers
from ops.clustertest.options import ClusterOptions
from ops.console import Console
from ops.foreground import RunInterrupted
from ops.judge import judge, read_records
from ops.report_file import write_report

CONNECTIONS = 120
"""The number of clients: each waits for three seconds when it asks a host that does not answer."""
PAUSE_S_MAX = 4.0
"""The longest backoff of a client: there may be a minute without a 202, and a thousand payments that wait for one."""
SUMMARY_ASKERS = 10
LEDGER = "ledger"
"""The durability with which every accepted payment is in PostgreSQL, so that the loss of a journal loses nothing."""
REST_S_MAX = 180.0
"""How long it may take after the last fault until every host was ready and all that was accepted has ended."""
STEP_S = 0.5


@dataclass(frozen=True, slots=True)
class _Seen:
    run: ObservedRun
    nemesis: ClusterNemesis
    watch: ClusterWatch
    figures: ClusterFigures
    unhealed: Sequence[str]


class ClusterChaosRunner:
    """Does one chaos run of a cluster; `run` is called once, and ends everything that it started in any case."""

    def __init__(self, options: ClusterChaosOptions, console: Console) -> None:
        self._options = options
        self._console = console
        self._stopped = threading.Event()
        self._cluster: HostCluster | None = None
        self._ends: list[str] = []
        """Replicas that ended without a fault, in words."""

    def ask_to_stop(self) -> None:
        """Let `run` give up and raise RunInterrupted; may be called by a signal handler."""
        self._stopped.set()
        if self._cluster is not None:
            self._cluster.ask_to_stop()

    def run(self) -> ClusterChaosResult:
        """Start a cluster, offer the workload, inject the faults, heal, and check every payment.

        Raises:
            OpsError: the cluster did not start, or did not come back; its logs are kept.
            RunInterrupted: `ask_to_stop` was called.
        """
        options = self._options
        with tempfile.TemporaryDirectory(prefix="fiel-cluster-") as folder:
            state_dir = Path(folder, "state")
            cluster = HostCluster(
                ClusterOptions(
                    state_dir=state_dir,
                    replicas_per_host=options.replicas_per_host,
                    durability=options.durability,
                    wrong_clocks=True,
                    synchronous=not options.is_asynchronous,
                ),
                self._hear,
            )
            self._cluster = cluster
            try:
                cluster.start()
                seen = self._carry_out(cluster)
            except OpsError:
                keep_state(options.out, state_dir, ())
                raise
            finally:
                cluster.stop()
            history_file = options.history or Path(folder, "history.jsonl")
            write_history(history_file, seen.run.history)
            with history_file.open(encoding="utf-8") as lines:
                judged = judge(read_records(lines))
            result = ClusterChaosResult(options, seen.run.check, judged, seen.figures, current_commit(), seen.unhealed)
            if options.report is not None:
                write_report(options.report, make_page(result, seen.run))
            if options.keeps_all or not result.ok:
                keep_state(options.out, state_dir, [each.fault for each in seen.nemesis.injected])
                keep_findings(options.out, seen.run.history, seen.run.check, histories=seen.run.histories)
                self._keep(result, seen, history_file)
        return result

    def _keep(self, result: ClusterChaosResult, seen: _Seen, history_file: Path) -> None:
        out = self._options.out
        (out / "result.json").write_text(json.dumps(result.to_dict()) + "\n")
        (out / "history.jsonl").write_bytes(history_file.read_bytes())
        found = {
            "began_ms": seen.run.began_ms,
            "injected": seen.nemesis.injected,
            "left_out": seen.nemesis.left_out,
            "primaries": seen.watch.changes,
        }
        (out / "faults.json").write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1))
        (out / "states.jsonl").write_bytes(b"".join(msgspec.json.encode(each) + b"\n" for each in seen.watch.states))

    def _carry_out(self, cluster: HostCluster) -> _Seen:
        options, console = self._options, self._console
        sources = sources_of(cluster)
        clients = LoadGenerator(
            cluster.replica_urls,
            rate=options.rate,
            seconds=math.inf,
            seed=options.seed,
            connections=CONNECTIONS,
            pause_s_max=PAUSE_S_MAX,
        )
        watch = ClusterWatch(cluster, console.say)
        nemesis = ClusterNemesis(
            ClusterFaults(cluster, sources.administrations),
            watch,
            draw_cluster_faults(options.seed, LOSING if options.is_asynchronous else SERIES),
            [host.name for host in cluster.hosts],
            console.say,
            wipes=LEDGER in options.durability,
            spare_copies=not options.is_asynchronous,
        )
        probe = SummaryProbe(lambda: cluster.replica_urls, options.seed, SUMMARY_ASKERS)
        moments = MomentProbe(lambda: cluster.replica_urls, sources.administrations, nemesis.quiet_s)
        progress = ProgressTable(sources.database_url, clients, nemesis, console, options.seconds_max)
        workers: list[Worker] = [watch, clients, nemesis, probe, moments, progress]
        began_ms, began_s = now_ms(), time.monotonic()
        try:
            for worker in workers:
                worker.start()
            self._offer_enough(clients, nemesis, watch)
            clients.stop_offering()
            load_s = time.monotonic() - began_s
            nemesis.end_all()
            ready_s, rest_s = self._wait_for_rest(cluster, sources, clients)
        finally:
            for worker in reversed(workers):
                worker.stop()
        console.draw("reading all records", 1.0)
        read = read_history(cluster, clients, probe, moments, self._wait)
        charges = without_lost_answers(read.final_state.charges, nemesis.injected, began_ms)
        history = replace(read, final_state=replace(read.final_state, charges=charges), unexpected_ends=self._ends)
        console.draw("checking every payment", 1.0)
        check = check_history(history)
        load = (began_ms, began_ms + int(load_s * 1000))
        figures = ClusterFigures(
            nemesis.counts,
            len(nemesis.left_out),
            watch.failovers,
            nemesis.partitions,
            load_s,
            gaps_without_202(history, load),
            gaps_by_replica(history, load, replicas_by_url(cluster), nemesis.injected),
            gaps_without_charge(history, load),
            ready_s,
            rest_s,
        )
        histories = ask_histories(cluster.replica_urls, suspects_of(check))
        run = ObservedRun(history, check, nemesis.counts, nemesis.injected, began_ms, rest_s, histories=histories)
        unhealed = [] if ready_s is not None else [f"not all hosts were ready {REST_S_MAX:g} s after all had healed"]
        return _Seen(run, nemesis, watch, figures, unhealed)

    def _offer_enough(self, clients: LoadGenerator, nemesis: ClusterNemesis, watch: ClusterWatch) -> None:
        """Wait until the run has all that was asked for, or has taken too long."""
        options, began_s = self._options, time.monotonic()
        accepted, seen = 0, 0
        pending = list(clients.offers[:0])
        while (elapsed_s := time.monotonic() - began_s) < options.seconds_max:
            self._wait(STEP_S)
            # Accepted payments are not looked at again, because there are very many.
            offered = len(clients.offers)
            pending += clients.offers[seen:offered]
            left = [each for each in pending if not each.accepted]
            accepted, seen, pending = accepted + len(pending) - len(left), offered, left
            disruptions = watch.failovers + nemesis.partitions
            if elapsed_s >= options.seconds and accepted >= options.payments and disruptions >= options.faults:
                return

    def _hear(self, report: str) -> None:
        """Show the first line of what the cluster reports, and note replicas that have ended by themselves."""
        line = report.partition("\n")[0]
        self._console.say(line)
        if is_own_end(line):
            self._ends.append(line.partition(",")[0])

    def _wait(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise RunInterrupted

    def _wait_for_rest(
        self, cluster: HostCluster, sources: RecordSources, clients: LoadGenerator
    ) -> tuple[float | None, float | None]:
        """Wait until every host was ready once and all that was accepted has ended.

        Return the seconds that each took, or None where it took too long.
        """
        began_s = time.monotonic()
        unready, ready_s, rest_s = set(cluster.hosts), None, None
        while (spent_s := time.monotonic() - began_s) < REST_S_MAX and (ready_s is None or rest_s is None):
            # On a busy machine the hosts are not all ready at the same moment.
            unready -= {host for host in unready if host.ready()}
            if ready_s is None and not unready:
                ready_s = round(spent_s, 1)
            if rest_s is None and has_come_to_rest(sources, clients):
                rest_s = round(spent_s, 1)
            self._wait(STEP_S)
        return ready_s, rest_s


def is_own_end(line: str) -> bool:
    """Tell whether a line reports the end of a replica that no fault explains: neither by SIGKILL nor in good order."""
    name, ended, status = line.partition(" ended with exit status ")
    return bool(ended) and "replica-" in name and not status.startswith(("-9,", "0,"))
