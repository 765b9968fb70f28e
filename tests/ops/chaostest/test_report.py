"""A failing chaos run leaves all records of each broken payment."""

import json
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from ops.chaostest.checker import check_history
from ops.chaostest.history import BookedCharge, FinalState, History, PaymentRow
from ops.chaostest.neighbour_verdict import RunSpans, measure
from ops.chaostest.report import keep_findings, keep_state
from ops.chaostest.schedule import ScheduledFault
from ops.chaostest.workload import Attempt, BodyFormat, OfferedAmount, OfferedPayment

LOST = UUID(int=1)
AMOUNT = OfferedAmount(100)


def test_each_broken_payment_has_a_file_with_all_its_records(tmp_path: Path) -> None:
    offer = OfferedPayment(LOST, AMOUNT, BodyFormat.MAP, attempts=[Attempt(5, "http://127.0.0.1:1", AMOUNT, 202)])
    final_state = FinalState(charges=[BookedCharge("default", LOST, 100, 7000)], payments=[PaymentRow(LOST, 100, 5)])
    history = History([offer], final_state)
    keep_state(tmp_path / "out", tmp_path, ())
    unfair = measure(offer.attempts, RunSpans((0, 1), (1, 9)), {}, {}, offered=1, expected=1)
    late = replace(offer.attempts[0], took_s=2.5)
    keep_findings(tmp_path / "out", history, check_history(history), replace(unfair, examples=[late]))
    assert [each["took_s"] for each in json.loads((tmp_path / "out" / "unfair.json").read_text())] == [2.5]

    assert json.loads((tmp_path / "out" / "broken.json").read_text())["lost"] == [str(LOST)]
    records = json.loads((tmp_path / "out" / "broken" / f"{LOST}.json").read_text())
    assert [row["status"] for row in records["offers"][0]["attempts"]] == [202]
    assert records["charges"][0]["processor"] == "default"
    assert records["payment"][0]["accepted_at_ms"] == 5
    assert records["settlement"] == records["claim"] == records["conflict"] == []


def test_logs_and_the_schedule_are_kept_and_an_earlier_run_is_deleted(tmp_path: Path) -> None:
    (tmp_path / "state" / "log").mkdir(parents=True)
    (tmp_path / "state" / "log" / "replica-1.log").write_text("it ended\n")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "result.json").write_text("{}")
    keep_state(tmp_path / "out", tmp_path / "state", [ScheduledFault(1.5, "kill", "replica-1", None)])

    assert (tmp_path / "out" / "log" / "replica-1.log").read_text() == "it ended\n"
    (fault,) = json.loads((tmp_path / "out" / "plan.json").read_text())
    assert (fault["at_s"], fault["target"], fault["duration_s"]) == (1.5, "replica-1", None)
    assert not (tmp_path / "out" / "result.json").exists()
