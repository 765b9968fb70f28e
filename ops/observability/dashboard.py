"""`python -m ops.observability.dashboard`: makes `dashboard.json`, the gateway's dashboard for Grafana."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ops.environment import ROOT

FILE = ROOT / "ops" / "observability" / "dashboard.json"
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS, WIDTH, HEIGHT = 24, 8, 8
"""The width of Grafana's grid, and the size of one panel in it."""
REPLICA = "{{instance}}"
PROCESSOR = "{{processor}}"


@dataclass(frozen=True, slots=True)
class Query:
    """One expression of a panel, and the name of the series that it gives."""

    expr: str
    legend: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture."""

    title: str
    unit: str
    """The unit as Grafana names it."""
    queries: tuple[Query, ...]


def quantiles(histogram: str, by: str = "", legend: str = "") -> tuple[Query, ...]:
    """Ask for the median and the 99th percentile of a histogram, by one label or over all."""
    labels = f"{by}, le" if by else "le"
    rates = f"sum by ({labels}) (rate({histogram}_bucket[$__rate_interval]))"
    return tuple(Query(f"histogram_quantile({q}, {rates})", f"p{round(q * 100)} {legend}".strip()) for q in (0.5, 0.99))


def rate(counter: str, by: str, condition: str = "") -> Query:
    """Ask for the rate of a counter, by some labels."""
    legend = " ".join(f"{{{{{name}}}}}" for name in by.split(", "))
    return Query(f"sum by ({by}) (rate({counter}{condition}[$__rate_interval]))", legend)


def share(gauge: str, legend: str) -> Query:
    """Ask how full something bounded is."""
    return Query(f"{gauge} / {gauge}_max", legend)


ROWS: dict[str, tuple[Panel, ...]] = {
    "Payments": (
        Panel("Answers to posted payments", "reqps", (rate("fiel_payments_posted_total", "answer"),)),
        Panel("Time to accept", "s", quantiles("fiel_payment_acceptance_seconds")),
        Panel("Time to settle", "s", quantiles("fiel_payment_settlement_seconds")),
        Panel("Settled", "reqps", (rate("fiel_payments_settled_total", "processor"),)),
        Panel("Unsettled", "short", (Query("sum by (waiting_for) (fiel_unsettled_payments)", "{{waiting_for}}"),)),
        Panel(
            "For an operator",
            "short",
            (
                Query("sum(fiel_unresolved_payments)", "unresolved"),
                Query('sum(fiel_unsettled_payments{waiting_for="stranded"})', "stranded"),
                Query("sum by (state) (increase(fiel_payments_closed_total[1h]))", "{{state}} in an hour"),
                Query("sum(increase(fiel_disputes_total[1h]))", "disputes in an hour"),
            ),
        ),
    ),
    "Money": (
        Panel("Charged in a second", "short", (rate("fiel_settled_amount_total", "processor, currency"),)),
        Panel("Fees in a second", "short", (rate("fiel_settled_fees_total", "processor, currency"),)),
        Panel(
            "Share of the fees in what was charged",
            "percentunit",
            (
                Query(
                    "sum by (currency) (increase(fiel_settled_fees_total[1h])) "
                    "/ sum by (currency) (increase(fiel_settled_amount_total[1h]))",
                    "{{currency}}",
                ),
            ),
        ),
    ),
    "Processors": (
        Panel("Charges", "reqps", (rate("fiel_charge_seconds_count", "processor, outcome"),)),
        Panel("Time to charge", "s", quantiles("fiel_charge_seconds", "processor", PROCESSOR)),
        Panel(
            "Breakers that are not closed",
            "short",
            (Query('sum by (processor, state) (fiel_breaker_state{state!="closed"}) > 0', "{{processor}} {{state}}"),),
        ),
        Panel("Why payments go where they go", "reqps", (rate("fiel_routing_decisions_total", "processor, reason"),)),
        Panel("Charges under way", "percentunit", (share("fiel_charges_under_way", f"{REPLICA} {PROCESSOR}"),)),
        Panel("Look-ups", "reqps", (rate("fiel_look_ups_total", "processor, result"),)),
    ),
    "Storage": (
        Panel("Syncs of the journal", "s", quantiles("fiel_journal_sync_seconds", "instance", REPLICA)),
        Panel("Commits", "s", quantiles("fiel_postgres_commit_seconds", "instance", REPLICA)),
        Panel("Failed commits", "reqps", (rate("fiel_postgres_commit_failures_total", "instance"),)),
        Panel("Journal", "bytes", (Query("fiel_journal_bytes", REPLICA),)),
        Panel("Moves of rows", "reqps", (rate("fiel_payment_moves_total", "processor"),)),
        Panel("Adopted", "reqps", (rate("fiel_payments_adopted_total", "source"),)),
        Panel("The feed is behind", "s", (Query("fiel_feed_behind_seconds", REPLICA),)),
    ),
    "Replicas": (
        Panel(
            "Ready", "short", (Query("fiel_ready * on (instance) group_left (replica) fiel_build_info", "{{replica}}"),)
        ),
        Panel("Parts with trouble", "short", (Query("fiel_part_up == 0", f"{REPLICA} {{{{part}}}}"),)),
        Panel("Restarts of actors in an hour", "short", (Query("increase(fiel_actor_restarts_total[1h])", REPLICA),)),
        Panel("CPU", "percentunit", (rate("process_cpu_seconds_total", "instance", '{job="fiel"}'),)),
        Panel("Memory", "percentunit", (share("fiel_memory_bytes", REPLICA),)),
        Panel(
            "How full it is",
            "percentunit",
            (
                share("fiel_journal_payments", f"{REPLICA} journal"),
                share("fiel_payments_in_memory", f"{REPLICA} memory"),
                share("fiel_connections", f"{REPLICA} connections"),
                share("fiel_unfinished_request_bytes", f"{REPLICA} unfinished requests"),
                share("fiel_untaken_answer_bytes", f"{REPLICA} untaken answers"),
                share("fiel_mailbox_messages", f"{REPLICA} {{{{actor}}}}"),
                share("fiel_readers_waiting", f"{REPLICA} readers"),
                share("fiel_feed_consumers", f"{REPLICA} consumers of the feed"),
                share("fiel_postgres_pool_connections", f"{REPLICA} pool"),
                share("fiel_untold_payments", f"{REPLICA} untold"),
                share("fiel_ids_asked_for", f"{REPLICA} ids asked for"),
            ),
        ),
    ),
}
"""All panels, by the row that they stand in."""


def dashboard() -> dict[str, object]:
    """Make the dashboard as Grafana reads it."""
    return {
        "title": "Fiel",
        "uid": "fiel",
        "tags": ["fiel"],
        "schemaVersion": 41,
        "refresh": "15s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [{"name": "datasource", "type": "datasource", "query": "prometheus"}]},
        "panels": list(_placed()),
    }


def _placed() -> Iterator[dict[str, object]]:
    """Lay out the panels, three beside each other, below the name of their row."""
    number, top = 0, 0
    for name, panels in ROWS.items():
        number += 1
        place = {"x": 0, "y": top, "w": COLUMNS, "h": 1}
        yield {"id": number, "type": "row", "title": name, "collapsed": False, "gridPos": place, "panels": []}
        top += 1
        for index, panel in enumerate(panels):
            number += 1
            x, y = index * WIDTH % COLUMNS, top + index * WIDTH // COLUMNS * HEIGHT
            yield _drawn(panel, number, {"x": x, "y": y, "w": WIDTH, "h": HEIGHT})
        top += -(-len(panels) * WIDTH // COLUMNS) * HEIGHT


def _drawn(panel: Panel, number: int, place: dict[str, int]) -> dict[str, object]:
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "gridPos": place,
        "datasource": DATASOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": DATASOURCE, "expr": query.expr, "legendFormat": query.legend}
            for index, query in enumerate(panel.queries)
        ],
    }


def main(file: Path = FILE) -> None:
    """Write the dashboard."""
    file.write_text(json.dumps(dashboard(), indent=1) + "\n")


if __name__ == "__main__":
    main()
