"""One trial from the first process to the verdict."""

import json
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg

from ops import OpsError
from ops.process import ROOT
from ops.stack import Stack, StackInterrupted
from ops.trial.audit import Report, audit
from ops.trial.evidence import Evidence, read_books
from ops.trial.folder import keep_findings, keep_state
from ops.trial.injector import Injector
from ops.trial.line import LineError, administer, open_line
from ops.trial.load import Load
from ops.trial.options import Options
from ops.trial.plan import make_plan
from ops.trial.profiles import PROFILES
from ops.trial.progress import Progress
from ops.trial.routing import Change, breaker_figures, fee_figures, read_changes
from ops.trial.stage import make_settings
from ops.trial.watch import SummaryAnswer, Watch, ask_summary

REST_S_MAX = 25.0
"""How long after the last fault all that was accepted may take to settle.

20 s, and what a processor may take to book what was given up, with a margin.
"""
REST_STEP_S = 0.1
READY_S_MAX = 30.0
SUMMARY_TRIES_MAX = 20


@dataclass(frozen=True, slots=True)
class Result:
    """What a trial came to."""

    options: Options
    report: Report
    faults: Mapping[str, int]
    rest_s: float | None
    """From the end of the last fault until all was settled; None: not within `REST_S_MAX`."""
    commit: str | None
    fees: Mapping[str, float]
    breakers: Mapping[str, object]

    @property
    def ok(self) -> bool:
        """Whether every promise was kept."""
        return self.report.ok and self.rest_s is not None

    def line(self) -> str:
        """Write the one line that the trial ends with."""
        report = self.report
        return json.dumps(
            {
                "offered": report.offered,
                "refused": report.offered - report.accepted,
                "accepted": report.accepted,
                "settled": report.settled,
                "unknown": len(report.unknown),
                "lost": len(report.lost),
                "duplicated": len(report.duplicated),
                "mismatched": len(report.mismatched) + len(report.wrong_totals),
                "phantom": len(report.phantom),
                "summaries": dict(report.summaries),
                "untrue_summaries": len(report.untrue_summaries),
                "faults": dict(sorted(self.faults.items())),
                "fees": self.fees,
                "breakers": self.breakers,
                "rest_s": None if self.rest_s is None else round(self.rest_s, 2),
                "seconds": self.options.seconds,
                "seed": self.options.seed,
                "profile": self.options.profile,
                "commit": self.commit,
                "ok": self.ok,
            }
        )


class Trial:
    """`run` once; it ends all that it started, whatever happens."""

    def __init__(self, options: Options, say: Callable[[str], None]) -> None:
        self._options = options
        self._say = say
        self._stopped = threading.Event()
        self._plan = make_plan(options.seed, options.seconds, PROFILES[options.profile])
        self._stack: Stack | None = None

    def ask_to_stop(self) -> None:
        """Give the trial up; `run` then raises StackInterrupted. May be called by a signal handler."""
        self._stopped.set()
        if self._stack is not None:
            self._stack.ask_to_stop()

    def run(self) -> Result:
        """Start everything, load it, break it, mend it, audit it, end it.

        Raises:
            OpsError: something did not start, or not again; its logs are kept.
            StackInterrupted: `ask_to_stop` was called.
        """
        with tempfile.TemporaryDirectory(prefix="fiel-chaos-") as folder:
            self._stack = Stack(make_settings(Path(folder)))
            try:
                with self._stack as stack:
                    evidence, faults, rest_s, changes = self._carry_out(stack)
            except OpsError:
                keep_state(self._options.out, Path(folder), self._plan)
                raise
            fees, breakers = fee_figures(evidence.books.totals), breaker_figures(self._plan, changes)
            result = Result(self._options, audit(evidence), faults, rest_s, _commit(), fees, breakers)
            if not result.ok:
                keep_state(self._options.out, Path(folder), self._plan)
                keep_findings(self._options.out, evidence, result.report)
                (self._options.out / "result.json").write_text(result.line() + "\n")
        return result

    def _carry_out(self, stack: Stack) -> tuple[Evidence, Mapping[str, int], float | None, list[Change]]:
        options = self._options
        # Half of the clients leave it to the kernel which replica they meet.
        urls = [stack.url] * len(stack.replica_urls) + stack.replica_urls
        load = Load(urls, rate=options.rate, seconds=options.seconds, seed=options.seed)
        injector = Injector(stack, self._plan, self._say)
        watch = Watch(injector.live_urls, options.seed)
        progress = Progress(stack.database_url, load, injector, self._say)
        workers = (load, injector, watch, progress)
        began_ms = time.time_ns() // 1_000_000
        try:
            for worker in workers:
                worker.start()
            self._wait(options.seconds)
            injector.lift()
            lifted_s = time.monotonic()
            rest_s = self._wait_for_rest(stack, load, lifted_s)
        finally:
            for worker in reversed(workers):
                worker.stop()
        for part in injector.parts_up():
            part.wait_ready(READY_S_MAX)
        books = read_books(stack)
        at_rest = [self._ask_at_rest(url) for url in injector.live_urls()]
        evidence = Evidence(load.offers, books, watch.answers, at_rest, injector.unexpected_ends)
        changes = [change for url in injector.live_urls() for change in self._ask_for_changes(url, began_ms)]
        return evidence, self._count_faults(stack, injector), rest_s, changes

    def _wait(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise StackInterrupted

    def _wait_for_rest(self, stack: Stack, load: Load, lifted_s: float) -> float | None:
        """Wait until every client has its answer and nothing accepted is unsettled; returns how long that took."""
        while time.monotonic() - lifted_s < REST_S_MAX:
            self._wait(REST_STEP_S)
            if not load.unfinished and self._all_settled(stack.database_url, load):
                return time.monotonic() - lifted_s
        return None

    def _all_settled(self, database_url: str, load: Load) -> bool:
        accepted = {offer.correlation_id for offer in load.offers if offer.accepted}
        try:
            with psycopg.connect(database_url, connect_timeout=5) as connection:
                row = connection.execute("SELECT (SELECT count(*) FROM claim), count(*) FROM settlement").fetchone()
                if row is None or row[0] > 0 or row[1] < len(accepted):
                    return False
                settled = {row[0] for row in connection.execute("SELECT correlation_id FROM settlement")}
        except psycopg.Error:
            return False
        return accepted <= settled

    def _ask_at_rest(self, url: str) -> SummaryAnswer:
        """Ask a replica for everything until it says that the answer is final."""
        answer: SummaryAnswer | None = None
        with open_line(url) as line:
            for _ in range(SUMMARY_TRIES_MAX):
                try:
                    answer = ask_summary(line, None, None)
                except LineError as error:
                    raise OpsError(f"{url} gives no summary at rest: {error}") from error
                if answer.final:
                    return answer
                self._wait(REST_STEP_S)
        if answer is None:
            raise OpsError(f"{url} was not asked")
        return answer

    def _ask_for_changes(self, url: str, began_ms: int) -> list[Change]:
        """Ask a replica what its breakers have done, as far as it remembers."""
        with open_line(url) as line:
            try:
                return list(read_changes(url, json.loads(line.ask("GET", "/processors").body), began_ms))
            except LineError as error:
                raise OpsError(f"{url} does not tell of its breakers: {error}") from error

    def _count_faults(self, stack: Stack, injector: Injector) -> Mapping[str, int]:
        """Count the faults of processes, and the requests that met each fault of a processor."""
        counts = Counter(injector.counts)
        for simulator in stack.simulators:
            told = json.loads(administer(simulator.admin_url, "GET", "/admin/faults"))
            counts.update(told["injected"])
        return counts


def _commit() -> str | None:
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607 - whichever git there is
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
