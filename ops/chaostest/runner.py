"""One chaos run, from the first process to the result."""

import json
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from ops import OpsError
from ops.chaostest.checker import check_history
from ops.chaostest.client import NoAnswerError, administer, open_connection
from ops.chaostest.final_summary import ask_final_summary
from ops.chaostest.history import History, read_final_state
from ops.chaostest.history_file import write_history
from ops.chaostest.load_generator import LoadGenerator
from ops.chaostest.moment_probe import MomentProbe
from ops.chaostest.neighbour_verdict import spans_of
from ops.chaostest.neighbours import Neighbours
from ops.chaostest.nemesis import Nemesis
from ops.chaostest.observed_run import ObservedRun
from ops.chaostest.options import ChaosOptions
from ops.chaostest.page import make_page
from ops.chaostest.profiles import PROCESSORS, PROFILES
from ops.chaostest.progress import ProgressTable
from ops.chaostest.record_sources import RecordSources
from ops.chaostest.report import ChaosResult, current_commit, keep_findings, keep_state
from ops.chaostest.rest import is_at_rest
from ops.chaostest.rivals import ask_rivals
from ops.chaostest.routing_figures import BreakerChange, breaker_figures, fee_figures, read_changes
from ops.chaostest.schedule import make_schedule
from ops.chaostest.stack_options import make_stack_options
from ops.chaostest.summary_probe import SummaryProbe
from ops.chaostest.suspects import ask_histories, suspects_of
from ops.chaostest.threads import Worker
from ops.chaostest.workload import OfferedPayment
from ops.console import Console
from ops.foreground import RunInterrupted
from ops.report_file import write_report
from ops.stack.stack import Stack

REST_S_MAX = 25.0
"""How long settling everything that was accepted may take after the last fault.

The target is 20 s; the rest is for a processor that books a charge late, and a margin.
"""
REST_STEP_S = 0.1
READY_S_MAX = 30.0


class ChaosRunner:
    """Does one chaos run; `run` is called once, and ends everything that it started in any case."""

    def __init__(self, options: ChaosOptions, console: Console) -> None:
        self._options = options
        self._console = console
        self._stopped = threading.Event()
        self._profile = PROFILES[options.profile]
        self._schedule = make_schedule(options.seed, options.seconds, self._profile)
        self._lost_processors = {
            fault.target for fault in self._schedule if fault.duration_s is None and fault.target in PROCESSORS
        }
        self._stack: Stack | None = None

    def ask_to_stop(self) -> None:
        """Let `run` give up and raise RunInterrupted; may be called by a signal handler."""
        self._stopped.set()
        if self._stack is not None:
            self._stack.ask_to_stop()

    def run(self) -> ChaosResult:
        """Start a stack, offer the workload, inject the faults, end them, and check every payment.

        Raises:
            OpsError: a service did not start, or did not come back; its logs are kept.
            RunInterrupted: `ask_to_stop` was called.
        """
        out = self._options.out
        with tempfile.TemporaryDirectory(prefix="fiel-chaos-") as folder:
            planted_dir = Path(folder, "planted") if self._profile.plants_faults else None
            settings = {"CHARGE_TIMEOUT_MS": str(self._profile.charge_timeout_ms), **self._profile.environment}
            self._stack = Stack(make_stack_options(Path(folder), settings, planted_dir))
            try:
                with self._stack as stack:
                    run = self._carry_out(stack, planted_dir)
            except OpsError:
                keep_state(out, Path(folder), self._schedule)
                raise
            if self._options.history is not None:
                write_history(self._options.history, run.history)
            fees, breakers = fee_figures(run.history.final_state.totals), breaker_figures(self._schedule, run.changes)
            result = ChaosResult(
                self._options,
                run.check,
                run.faults,
                len(run.injected),
                run.rest_s,
                current_commit(),
                fees,
                breakers,
                run.neighbours,
            )
            if self._options.report is not None:
                write_report(self._options.report, make_page(result, run))
            if not result.ok:
                keep_state(out, Path(folder), self._schedule)
                keep_findings(out, run.history, run.check, run.neighbours, run.histories)
                (out / "result.json").write_text(json.dumps(result.to_dict()) + "\n")
        return result

    def _carry_out(self, stack: Stack, planted_dir: Path | None) -> ObservedRun:
        options, profile, console = self._options, self._profile, self._console
        console.say(f"live page: {stack.url}/")
        # Half of the connections go to the shared port, where the kernel chooses the replica.
        urls = [stack.url] * len(stack.replica_urls) + stack.replica_urls
        clients = LoadGenerator(
            urls, rate=options.rate, seconds=options.seconds, seed=options.seed, huge_share=profile.huge_share
        )
        neighbours = None
        if profile.has_neighbours and planted_dir is not None:
            neighbours = Neighbours(stack, planted_dir, options.seed, options.crowd)
        nemesis = Nemesis(stack, self._schedule, console.say, planted_dir, neighbours.targets if neighbours else ())
        probe = SummaryProbe(nemesis.live_urls, options.seed)
        progress = ProgressTable(stack.database_url, clients, nemesis, console, options.seconds)
        moments = MomentProbe(nemesis.live_urls, _sources(stack).administrations, nemesis.quiet_s)
        workers: list[Worker] = [clients, nemesis, probe, moments, progress]
        if neighbours is not None:
            workers.insert(0, neighbours)
        began_ms = time.time_ns() // 1_000_000
        try:
            for worker in workers:
                worker.start()
            self._wait(options.seconds)
            nemesis.end_all()
            self._console.draw("waiting until all is at rest", 1.0)
            rest_s = self._wait_for_rest(stack, clients, neighbours.dead.offers if neighbours else [])
        finally:
            for worker in reversed(workers):
                worker.stop()
        self._console.draw("reading all records", 1.0)
        for service in nemesis.healthy_services():
            service.wait_ready(READY_S_MAX)
        state = read_final_state(_sources(stack), nemesis.live_urls(), self._lost_processors)
        is_lost, wait = bool(self._lost_processors), self._wait
        final_answers = [ask_final_summary(url, wait, may_stay_open=is_lost) for url in nemesis.live_urls()]
        recorded = {row.correlation_id: (row.amount_minor, row.currency) for row in state.payments}
        rival_answers = ask_rivals(clients.offers, recorded, nemesis.live_urls())
        history = History(
            [*clients.offers, *(neighbours.dead.offers if neighbours else ())],
            state,
            probe.answers,
            final_answers,
            moments.answers,
            nemesis.unexpected_ends,
            self._lost_processors,
            rival_answers,
        )
        changes = [change for url in nemesis.live_urls() for change in self._ask_for_changes(url, began_ms)]
        figures = None
        if neighbours is not None:
            spans = spans_of(self._schedule, began_ms, options.seconds)
            figures = neighbours.measure(clients.offers, spans, round(options.rate * options.seconds))
        self._console.draw("checking every payment", 1.0)
        check = check_history(history)
        histories = ask_histories(nemesis.live_urls(), suspects_of(check))
        faults = self._count_faults(stack, nemesis)
        return ObservedRun(history, check, faults, nemesis.injected, began_ms, rest_s, changes, figures, histories)

    def _wait(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise RunInterrupted

    def _wait_for_rest(
        self, stack: Stack, clients: LoadGenerator, left_behind: Sequence[OfferedPayment]
    ) -> float | None:
        """Wait until every client has its answer and all that was accepted has ended; return the seconds it took."""
        began_s = time.monotonic()
        while time.monotonic() - began_s < REST_S_MAX:
            self._wait(REST_STEP_S)
            accepted = {offer.correlation_id for offer in (*clients.offers, *left_behind) if offer.accepted}
            if not clients.unfinished and is_at_rest(_sources(stack), accepted, self._lost_processors):
                return time.monotonic() - began_s
        return None

    def _ask_for_changes(self, url: str, began_ms: int) -> list[BreakerChange]:
        """Ask a replica for the changes of its breakers, as far back as it keeps them."""
        with open_connection(url) as connection:
            try:
                processors = json.loads(connection.ask("GET", "/processors").body)
            except NoAnswerError as error:
                raise OpsError(f"{url} does not answer for its breakers: {error}") from error
        return list(read_changes(url, processors, began_ms))

    def _count_faults(self, stack: Stack, nemesis: Nemesis) -> Mapping[str, int]:
        """Count the faults of processes, and the requests into which a simulator injected a fault."""
        counts = Counter(nemesis.counts)
        for simulator in stack.simulators:
            counts.update(json.loads(administer(simulator.admin_url, "GET", "/admin/faults"))["injected"])
        return counts


def _sources(stack: Stack) -> RecordSources:
    return RecordSources(stack.database_url, {each.name: each.admin_url for each in stack.simulators})
