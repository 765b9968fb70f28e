"""docs/api.md describes the metrics and the values of their labels as they are."""

import re
from collections.abc import Iterable
from enum import Enum
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from actors.domain.breaker import BreakerState
from actors.domain.breaker_causes import Cause
from actors.domain.outcome import Outcome
from actors.domain.records import LookUpResult
from actors.domain.routing import Reason
from gateway.metrics.families import label
from gateway.payments import ANSWER_KINDS
from tests.gateway.exposition import everything_told

API = (Path(__file__).parent.parent.parent / "docs" / "api.md").read_text()
METRICS = API.partition("\n## Metrics\n")[2].partition("\n## ")[0]


def table_of_metrics() -> list[str]:
    """Make the rows that the document should have, one for each metric of Fiel's own, its bound included."""
    families = [each for each in text_string_to_metric_families(everything_told()) if each.name.startswith("fiel_")]
    names = {each.name for each in families}
    rows = []
    for family in families:
        if family.name.removesuffix("_max") in names - {family.name}:
            continue
        total = "_total" if family.type == "counter" else ""
        shown = [f"`{family.name}{total}`", *([f"`{family.name}_max`"] if f"{family.name}_max" in names else [])]
        labels = {name: None for sample in family.samples for name in sample.labels if name != "le"}
        told = ", ".join(f"`{name}`" for name in labels) or ""
        rows.append(f"| {', '.join(shown)} | {family.type} | {told} | {family.documentation} |")
    return sorted(rows)


def documented(head: str) -> list[str]:
    """Give the rows of the table of this head."""
    return METRICS.partition(head)[2].partition("\n\n")[0].splitlines()[2:]


def listed(values: Iterable[str]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def test_the_table_of_metrics_is_complete_and_true() -> None:
    assert documented("| metric | type |") == table_of_metrics()


@pytest.mark.parametrize(("head", "members"), [("| `reason` |", Reason), ("| `cause` |", Cause)])
def test_the_values_of_a_label_are_explained_as_people_are_told(head: str, members: type[Enum]) -> None:
    assert documented(head) == [f"| `{label(each)}` | {each.value} |" for each in members]


@pytest.mark.parametrize(
    ("row", "values"),
    [
        ("`answer`", ANSWER_KINDS),
        ("`state` of a breaker", map(label, BreakerState)),
        ("`outcome` of a charge", (label(each) for each in Outcome if each.was_sent)),
        ("`result` of a look-up", map(label, LookUpResult)),
    ],
)
def test_the_values_of_a_label_are_listed(row: str, values: Iterable[str]) -> None:
    (told,) = re.findall(rf"^\| {re.escape(row)} \| ([^|:]*)", METRICS, re.MULTILINE)
    assert told.strip() == listed(values)
