"""A failing trial leaves what is known of each broken payment."""

import json
from pathlib import Path
from uuid import UUID

from ops.trial.audit import audit
from ops.trial.evidence import Books, Charge, Evidence, PaymentRow
from ops.trial.folder import keep_findings, keep_state
from ops.trial.offers import Attempt, Form, Offer
from ops.trial.plan import PlannedFault

LOST = UUID(int=1)


def test_each_broken_payment_has_all_that_is_known_of_it(tmp_path: Path) -> None:
    offer = Offer(LOST, 100, Form.MAP, attempts=[Attempt(5, "http://127.0.0.1:1", 100, 202)])
    books = Books(charges=[Charge("default", LOST, 100, 7000)], payments=[PaymentRow(LOST, 100, 5)])
    evidence = Evidence([offer], books)
    keep_state(tmp_path / "out", tmp_path, ())
    keep_findings(tmp_path / "out", evidence, audit(evidence))

    assert json.loads((tmp_path / "out" / "broken.json").read_text())["lost"] == [str(LOST)]
    known = json.loads((tmp_path / "out" / "broken" / f"{LOST}.json").read_text())
    assert [row["status"] for row in known["offers"][0]["attempts"]] == [202]
    assert known["charges"][0]["processor"] == "default"
    assert known["payment"][0]["accepted_at_ms"] == 5
    assert known["settlement"] == known["claim"] == known["conflict"] == []


def test_logs_and_the_plan_are_kept_and_an_earlier_trial_is_not(tmp_path: Path) -> None:
    (tmp_path / "state" / "log").mkdir(parents=True)
    (tmp_path / "state" / "log" / "replica-1.log").write_text("it ended\n")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "result.json").write_text("{}")
    keep_state(tmp_path / "out", tmp_path / "state", [PlannedFault(1.5, "kill", "replica-1", None)])

    assert (tmp_path / "out" / "log" / "replica-1.log").read_text() == "it ended\n"
    (fault,) = json.loads((tmp_path / "out" / "plan.json").read_text())
    assert (fault["at_s"], fault["target"], fault["duration_s"]) == (1.5, "replica-1", None)
    assert not (tmp_path / "out" / "result.json").exists()
