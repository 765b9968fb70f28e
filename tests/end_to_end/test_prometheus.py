"""A real Prometheus scrapes three replicas, loads the alerts, and answers what the dashboard asks."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest

from ops.chaostest.client import NoAnswerError
from ops.chaostest.workload import BodyFormat, OfferedAmount, OfferedPayment
from ops.observability.dashboard import ROWS
from ops.stack.ports import reserve_ports
from tests.end_to_end.cluster import Cluster, GatewayClient, get, running_cluster
from tests.waiting import wait_until

PROMETHEUS, PROMTOOL = shutil.which("prometheus"), shutil.which("promtool")
OBSERVABILITY = Path(__file__).parent.parent.parent / "ops" / "observability"
PAYMENTS = 60

pytestmark = pytest.mark.skipif(PROMETHEUS is None or PROMTOOL is None, reason="Prometheus is not installed")


@dataclass(frozen=True)
class Prometheus:
    url: str

    def ask(self, path: str) -> Any:  # noqa: ANN401  # as any as its answers are
        status, body = get(f"{self.url}/api/v1/{path}")
        assert status == 200, body
        return json.loads(body)["data"]

    def query(self, expr: str) -> dict[tuple[tuple[str, str], ...], float]:
        """Give the values by their labels."""
        found = self.ask(f"query?query={quote(expr)}")["result"]
        return {tuple(sorted(each["metric"].items())): float(each["value"][1]) for each in found}

    def value(self, expr: str) -> float | None:
        """Give the only value, or None while there is none."""
        return next(iter(self.query(expr).values()), None)


@contextmanager
def running_prometheus(folder: Path, targets: list[str]) -> Iterator[Prometheus]:
    """Run Prometheus as it is configured, but for its pace and its targets."""
    assert PROMETHEUS is not None
    config = (
        (OBSERVABILITY / "prometheus.yml").read_text().replace("evaluation_interval: 15s", "evaluation_interval: 1s")
    )
    config = config.replace("scrape_interval: 15s", "scrape_interval: 5s")
    (folder / "prometheus.yml").write_text(config.replace("scrape_timeout: 10s", "scrape_timeout: 5s"))
    (folder / "targets.yml").write_text(json.dumps([{"targets": targets}]))
    shutil.copy(OBSERVABILITY / "alerts.yml", folder)
    (port,) = reserve_ports(1)
    command = [PROMETHEUS, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
    with (folder / "log").open("w") as log, subprocess.Popen(command, stderr=log) as process:  # noqa: S603  # as found
        try:
            prometheus = Prometheus(f"http://127.0.0.1:{port}")
            wait_until(lambda: is_ready(prometheus), (folder / "log").read_text)
            yield prometheus
        finally:
            process.terminate()


def is_ready(prometheus: Prometheus) -> bool:
    try:
        return get(f"{prometheus.url}/-/ready")[0] == 200
    except NoAnswerError:
        return False


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture(scope="module")
def prometheus(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """One that has scraped every replica since all payments were settled."""
    payments = [OfferedPayment(UUID(int=number), OfferedAmount(100), BodyFormat.JSON) for number in range(PAYMENTS)]
    for number, url in enumerate(cluster.stack.replica_urls):
        GatewayClient(url).post(payments[number::3])
    cluster.wait_for_settled(PAYMENTS)
    targets = [url.removeprefix("http://") for url in cluster.stack.replica_urls]
    with running_prometheus(tmp_path_factory.mktemp("prometheus"), targets) as running:
        settled = "sum(fiel_payments_settled_total)"
        wait_until(lambda: running.value(settled) == PAYMENTS, lambda: str(running.ask("targets")["activeTargets"]))
        yield running


def test_each_replica_is_scraped_by_itself_without_an_error(prometheus: Prometheus, cluster: Cluster) -> None:
    wait_until(lambda: len(prometheus.query('up{job="fiel"} == 1')) == 3, lambda: str(prometheus.ask("targets")))
    targets = prometheus.ask("targets")["activeTargets"]
    assert sorted(each["labels"]["instance"] for each in targets) == sorted(
        url.removeprefix("http://") for url in cluster.stack.replica_urls
    )
    assert {(each["health"], each["lastError"]) for each in targets} == {("up", "")}
    named = prometheus.query("sum by (instance, replica) (fiel_build_info)")
    assert named == {
        (("instance", url.removeprefix("http://")), ("replica", str(number))): 1
        for number, url in enumerate(cluster.stack.replica_urls, 1)
    }


def test_what_was_charged_is_told_as_the_processors_have_booked_it(prometheus: Prometheus, cluster: Cluster) -> None:
    booked = cluster.processors_summary()
    amounts = prometheus.query("sum by (processor) (fiel_settled_amount_total)")
    assert sum(amounts.values()) == sum(each["totalAmount"] for each in booked.values())
    for processor, total in booked.items():
        assert amounts.get((("processor", processor),), 0) == total["totalAmount"]
    assert prometheus.value('sum(fiel_payments_posted_total{answer="accepted"})') == PAYMENTS
    assert prometheus.value("sum(fiel_payment_settlement_seconds_count)") == PAYMENTS
    assert prometheus.value('sum(fiel_charge_seconds_count{outcome="settled"})') == PAYMENTS
    assert prometheus.value("sum(fiel_settled_fees_total)") == pytest.approx(PAYMENTS * 0.05)


@pytest.mark.parametrize(
    "counted",
    ["fiel_journal_sync_seconds_count", "fiel_postgres_commit_seconds_count", "fiel_payment_acceptance_seconds_count"],
)
def test_every_replica_has_measured_its_own_work(prometheus: Prometheus, counted: str) -> None:
    assert len(prometheus.query(f"{counted} > 0")) == 3


def test_what_is_bounded_lies_within_its_bounds(prometheus: Prometheus) -> None:
    bounds = [name.removesuffix("_max") for name in prometheus.ask("label/__name__/values") if name.endswith("_max")]
    alone = {"fiel_charge_starts_per_second", "process_virtual_memory_bytes"}
    measured = [name for name in bounds if name.startswith("fiel_") and name not in alone]
    assert len(measured) >= 13
    for name in measured:
        shares = prometheus.query(f"{name} / {name}_max").values()
        assert shares, name
        assert all(0 <= share <= 1 for share in shares), name


def test_all_alerts_are_loaded_and_none_fires(prometheus: Prometheus) -> None:
    def health() -> set[str]:
        return {rule["health"] for group in prometheus.ask("rules")["groups"] for rule in group["rules"]}

    wait_until(lambda: health() == {"ok"}, lambda: str(prometheus.ask("rules")))
    assert [each for each in prometheus.ask("alerts")["alerts"] if each["state"] == "firing"] == []


def test_every_panel_can_be_drawn(prometheus: Prometheus) -> None:
    for panels in ROWS.values():
        for panel in panels:
            for query in panel.queries:
                prometheus.query(query.expr.replace("$__rate_interval", "1m"))


def test_the_page_of_a_real_replica_follows_the_rules(cluster: Cluster) -> None:
    assert PROMTOOL is not None
    page = get(f"{cluster.stack.replica_urls[0]}/metrics")[1]
    checked = subprocess.run(  # noqa: S603  # the gateway's own page
        [PROMTOOL, "check", "metrics"], input=page, capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
