"""Each alert fires when it should, not before, and is explained where it says so."""

import json
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.payments import ANSWER_KINDS
from ops.observability.dashboard import FILE, ROWS, dashboard
from tests.gateway.exposition import everything_told, sample_names

ROOT = Path(__file__).parent.parent.parent.parent
OBSERVABILITY = ROOT / "ops" / "observability"
RULES: list[dict[str, Any]] = yaml.safe_load((OBSERVABILITY / "alerts.yml").read_text())["groups"][0]["rules"]
OPERATIONS = ROOT / "docs" / "operations.md"
PROMTOOL = shutil.which("promtool")
SELECTOR = re.compile(r"(fiel_\w+)\{([^}]*)\}")
MATCHER = re.compile(r'(\w+)=~?"([^"]*)"')
KEPT = {"accepted", "repeated", "journalled"}
"""Answers to posts with status 202."""
FOR_THE_CLIENT_TO_MEND = {"conflict", "unconfirmed", "refused"}
"""Those with a status of 400 to 499."""
NAME = re.compile(r"\b(?:fiel|process)_[a-z_]+|\bup\b")
WHERE = {"job": "fiel", "instance": "a"}

needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")


@dataclass(frozen=True)
class Firing:
    """What makes an alert fire, beside which nothing is wrong."""

    alert: str
    series: dict[str, str]
    """Values, one a minute, by the series beside its job and instance."""
    after_min: int
    """How long it takes until it fires; a minute before it does not."""
    labels: dict[str, str] = field(default_factory=lambda: WHERE)
    step_s: int = 60
    """Seconds between two values, where they are not one a minute."""


@dataclass(frozen=True)
class Quiet:
    """What looks like trouble and is none: none of these alerts fires, at any minute of the first twenty."""

    name: str
    series: dict[str, str]
    """Values, one each 15 s."""
    alerts: tuple[str, ...]


JOB = {"job": "fiel"}


def grown(counter: str, step: int = 1) -> dict[str, str]:
    return {counter: f"0+{step}x180"}


def slow(histogram: str, bound_s: float) -> dict[str, str]:
    """Make a histogram of durations that all exceed a bound."""
    return {f'{histogram}_bucket{{le="{bound_s}"}}': "0x180", f'{histogram}_bucket{{le="+Inf"}}': "0+60x180"}


def full(gauge: str, labels: str = "") -> dict[str, str]:
    return {f"{gauge}{labels}": "97x180", f"{gauge}_max{labels}": "100x180"}


def half_open() -> dict[str, str]:
    """Make the only processor's breaker half open, where it accepts connections and nobody posts."""
    states = {"closed": 0, "open": 0, "half_open": 1, "forced_open": 0, "forced_closed": 0}
    return {
        **{
            f'fiel_breaker_state{{processor="default",state="{state}"}}': f"{held}x180"
            for state, held in states.items()
        },
        'fiel_processor_charges{processor="default"}': "1x180",
        'fiel_processor_unreachable{processor="default"}': "0x180",
        'fiel_unsettled_payments{waiting_for="held"}': "0x180",
    }


FIRING = [
    Firing("FielReplicaDown", {"up": "0x180", 'up{instance="b"}': "1x180"}, 1),
    Firing("FielGatewayDown", {"up": "1x4 0x180"}, 6, {}),
    Firing("FielReplicaUnready", {"fiel_ready": "0x180"}, 1),
    Firing("FielPartDown", {'fiel_part_up{part="redis"}': "0x180"}, 2, {**WHERE, "part": "redis"}),
    Firing("FielActorsDead", {"fiel_dead_actors": "1x180"}, 1),
    Firing("FielReplicaRestarts", {"process_start_time_seconds": "0 0 60 60 120 120 180x180"}, 6),
    Firing("FielChargedTwice", {"fiel_disputes_total": "0x4 1x180"}, 5),
    Firing("FielPaymentsUnresolved", {"fiel_unresolved_payments": "3x180"}, 5),
    Firing(
        "FielPaymentsStranded",
        {'fiel_unsettled_payments{waiting_for="stranded"}': "1x180"},
        1,
        {**WHERE, "waiting_for": "stranded"},
    ),
    Firing(
        "FielPaymentsClosed",
        {'fiel_payments_closed_total{state="declined"}': "0x4 1x180"},
        5,
        {**WHERE, "state": "declined"},
    ),
    Firing(
        "FielPostsRefused",
        grown('fiel_payments_posted_total{answer="accepted"}', 97)
        | grown('fiel_payments_posted_total{answer="overloaded"}', 3),
        3,
        JOB,
    ),
    Firing(
        "FielPostsRefused",
        grown('fiel_payments_posted_total{answer="accepted"}', 97)
        | grown('fiel_payments_posted_total{answer="ledger_unavailable"}', 1)
        | grown('fiel_payments_posted_total{answer="in_doubt"}', 1),
        3,
        JOB,
    ),
    Firing("FielAcceptanceSlow", slow("fiel_payment_acceptance_seconds", 0.5), 6, JOB),
    Firing("FielSettlementSlow", slow("fiel_payment_settlement_seconds", 120.0), 6, JOB),
    Firing(
        "FielNoProcessor",
        {
            'fiel_breaker_state{processor="default",state="closed"}': "0x180",
            'fiel_breaker_state{processor="default",state="forced_closed"}': "0x180",
            'fiel_breaker_state{processor="former",state="closed"}': "1x180",
            'fiel_processor_charges{processor="default"}': "1x180",
            'fiel_processor_charges{processor="former"}': "0x180",
            'fiel_processor_unreachable{processor="default"}': "0x180",
            'fiel_processor_unreachable{processor="former"}': "0x180",
        },
        1,
        JOB,
    ),
    Firing("FielNoProcessor", half_open() | {'fiel_processor_unreachable{processor="default"}': "1x180"}, 1, JOB),
    Firing("FielNoProcessor", half_open() | {'fiel_unsettled_payments{waiting_for="held"}': "1x180"}, 1, JOB),
    Firing(
        "FielProcessorDown",
        {
            'fiel_breaker_state{processor="default",state="open"}': "1 0 " * 90,
            'fiel_breaker_state{processor="default",state="half_open"}': "0 1 " * 90,
        },
        5,
        {**JOB, "processor": "default"},
    ),
    Firing(
        "FielProcessorDown",
        half_open() | {'fiel_processor_unreachable{processor="default"}': "1x180"},
        5,
        {**JOB, "processor": "default"},
    ),
    Firing(
        "FielBreakerForced",
        {'fiel_breaker_state{processor="default",state="forced_open"}': "1x180"},
        60,
        {**JOB, "processor": "default", "state": "forced_open"},
    ),
    Firing("FielJournalFilling", full("fiel_journal_payments"), 1),
    Firing("FielJournalSyncSlow", slow("fiel_journal_sync_seconds", 0.5), 6),
    Firing("FielCommitsFailing", {"fiel_postgres_commit_failures_total": "0x4 1+1x180"}, 4, step_s=15),
    Firing("FielCommitsSlow", slow("fiel_postgres_commit_seconds", 2.0), 6),
    Firing("FielMemoryFull", full("fiel_memory_bytes"), 10),
    Firing("FielConnectionsFull", full("fiel_connections"), 5),
    Firing("FielMailboxFull", full("fiel_mailbox_messages", '{actor="router"}'), 1, {**WHERE, "actor": "router"}),
    Firing("FielFeedBehind", {"fiel_feed_behind_seconds": "0 60 120 180 240x180"}, 3, JOB),
]

AFTER_AN_OUTAGE = {
    'fiel_breaker_state{processor="default",state="open"}': "1x8 0x180",
    'fiel_breaker_state{processor="default",state="half_open"}': "0x8 1x180",
    'fiel_processor_unreachable{processor="default"}': "0x180",
}
QUIET = [
    Quiet("a breaker is half open, and nobody posts", half_open(), ("FielNoProcessor", "FielProcessorDown")),
    Quiet("a breaker has been open for two minutes", half_open() | AFTER_AN_OUTAGE, ("FielProcessorDown",)),
    Quiet(
        "one commit has failed",
        {"fiel_postgres_commit_failures_total": "0x12 1x180"},
        ("FielCommitsFailing",),
    ),
    Quiet(
        "a transaction has held the feed back for a minute",
        {"fiel_feed_behind_seconds": "0x4 15 30 45 60 75 0x180"},
        ("FielFeedBehind",),
    ),
]


def located(series: str) -> str:
    """Add the job and the instance to a series, unless it has them."""
    name, _, rest = series.partition("{")
    labels = [f'job="{WHERE["job"]}"'] + ([] if "instance=" in rest else [f'instance="{WHERE["instance"]}"'])
    return f"{name}{{{','.join([*labels, *filter(None, [rest.rstrip('}')])])}}}"


def expected(rule: dict[str, Any], labels: dict[str, str]) -> dict[str, Any]:
    """Give the alert as it fires for these labels."""
    told = {
        key: re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda match: labels[match[1]], text)
        for key, text in rule["annotations"].items()
    }
    return {"exp_labels": labels | rule["labels"], "exp_annotations": told}


def series_of(values: dict[str, str]) -> list[dict[str, str]]:
    return [{"series": located(name), "values": each.strip()} for name, each in values.items()]


def unit_test(firing: Firing) -> dict[str, Any]:
    (rule,) = [each for each in RULES if each["alert"] == firing.alert]
    moments: list[tuple[int, list[dict[str, Any]]]] = [(firing.after_min, [expected(rule, firing.labels)])]
    moments += [(firing.after_min - 1, [])]
    return {
        "name": firing.alert,
        "interval": f"{firing.step_s}s",
        "input_series": series_of(firing.series),
        "alert_rule_test": [
            {"eval_time": f"{at_min}m", "alertname": firing.alert, "exp_alerts": alerts} for at_min, alerts in moments
        ],
    }


def no_alarm_test(quiet: Quiet) -> dict[str, Any]:
    return {
        "name": quiet.name,
        "interval": "15s",
        "input_series": series_of(quiet.series),
        "alert_rule_test": [
            {"eval_time": f"{at_min}m", "alertname": alert, "exp_alerts": []}
            for at_min in range(1, 21)
            for alert in quiet.alerts
        ],
    }


def quiet_test() -> dict[str, Any]:
    """Make the test that no alert fires for a gateway that works, over two hours."""
    page = everything_told(calm=True)
    series = []
    for line in page.splitlines():
        sample, _, value = line.rpartition(" ")
        if sample.startswith("fiel_"):
            step = "60" if sample.startswith("fiel_payments_posted") and "accepted" in sample else "0"
            series.append({"series": located(sample), "values": f"{value}+{step}x120"})
    series.append({"series": located("up"), "values": "1x120"})
    series.append({"series": located("process_start_time_seconds"), "values": "1000x120"})
    return {
        "name": "a gateway that works",
        "interval": "1m",
        "input_series": series,
        "alert_rule_test": [{"eval_time": "110m", "alertname": rule["alert"], "exp_alerts": []} for rule in RULES],
    }


def promtool(*arguments: str) -> None:
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, *arguments], text=True, capture_output=True, check=False)  # noqa: S603  # our files
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_each_alert_fires_when_its_time_has_come_and_none_where_all_is_well(tmp_path: Path) -> None:
    tests = {
        "rule_files": [str(OBSERVABILITY / "alerts.yml")],
        "evaluation_interval": "15s",
        "tests": [*map(unit_test, FIRING), *map(no_alarm_test, QUIET), quiet_test()],
    }
    (tmp_path / "tests.yml").write_text(json.dumps(tests))
    promtool("test", "rules", str(tmp_path / "tests.yml"))


def test_there_is_a_test_of_each_alert() -> None:
    assert list(dict.fromkeys(each.alert for each in FIRING)) == [rule["alert"] for rule in RULES]


@needs_promtool
def test_the_configuration_of_prometheus_is_valid() -> None:
    promtool("check", "config", str(OBSERVABILITY / "prometheus.yml"))


def test_each_alert_is_explained_at_the_address_that_it_names() -> None:
    section = OPERATIONS.read_text().partition("\n## Alerts\n")[2].partition("\n## ")[0]
    explained = re.findall(r"^### (\w+)\n\n\*(\w+), (?:after (\d+) (min|h)|at once)\.\*", section, re.MULTILINE)
    waits = [f"{number or 0}{unit[:1] or 'm'}" for _, _, number, unit in explained]
    told = [(name, severity, wait) for (name, severity, _, _), wait in zip(explained, waits, strict=True)]
    assert told == [(rule["alert"], rule["labels"]["severity"], rule["for"]) for rule in RULES]
    for rule in RULES:
        assert rule["annotations"]["runbook_url"].endswith(f"/docs/operations.md#{rule['alert'].lower()}")


def expressions() -> list[str]:
    return [query.expr for panels in ROWS.values() for panel in panels for query in panel.queries]


def test_alerts_and_panels_name_metrics_that_exist() -> None:
    known = sample_names(everything_told()) | {"up", "process_start_time_seconds", "process_cpu_seconds_total"}
    named = {name for expr in [*expressions(), *(rule["expr"] for rule in RULES)] for name in NAME.findall(expr)}
    assert named - known == set()


def test_alerts_name_values_of_labels_that_exist() -> None:
    told = everything_told() + everything_told(calm=True)
    for metric, matchers in (found for rule in RULES for found in SELECTOR.findall(rule["expr"])):
        lines = [line for line in told.splitlines() if line.startswith(f"{metric}{{")]
        for label, values in MATCHER.findall(matchers):
            for value in values.split("|"):
                assert any(f'{label}="{value}"' in line for line in lines), (metric, label, value)


def test_a_post_that_is_not_known_to_be_kept_counts_as_refused() -> None:
    (expr,) = (rule["expr"] for rule in RULES if rule["alert"] == "FielPostsRefused")
    (values,) = (values for label, values in MATCHER.findall(expr) if label == "answer")
    assert set(values.split("|")) == set(ANSWER_KINDS) - KEPT - FOR_THE_CLIENT_TO_MEND


@needs_promtool
def test_what_panels_ask_for_can_be_asked(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": expr.replace("$__rate_interval", "1m")}
        for number, expr in enumerate(expressions())
    ]
    (tmp_path / "panels.yml").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", str(tmp_path / "panels.yml"))


def test_the_dashboard_is_the_one_that_its_source_makes() -> None:
    assert json.loads(FILE.read_text()) == dashboard()


def test_panels_do_not_overlap() -> None:
    cells = [
        (x, y)
        for panel in json.loads(FILE.read_text())["panels"]
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
