"""The judge finds each planted discrepancy in a history of JSON lines, and it shares nothing with the gateway."""

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ops.judge import HistoryError, describe, judge, read_records

ROOT = Path(__file__).parent.parent.parent
Record = dict[str, Any]
Records = list[Record]
KINDS = (
    "lost",
    "twice_on_one",
    "twice_over_processors",
    "mismatched",
    "phantom",
    "unknown",
    "misstated",
    "untrue_final",
    "changed_final",
    "wrong_at_the_moment",
)
NOW_MS = 1_752_580_000_000


def post(name: str, status: int | None, amount: int = 100, **others: object) -> Record:
    instants = {"sent_ms": NOW_MS, "answered_ms": NOW_MS + 2}
    return {"kind": "post", "id": name, "amount": amount, "currency": "BRL", "status": status, **instants, **others}


def charge(name: str, processor: str = "default", amount: int = 100, at_ms: int = 0, **others: object) -> Record:
    where = {"kind": "charge", "processor": processor, "id": name, "amount": amount, "currency": "BRL"}
    return {**where, "requested_us": (NOW_MS + at_ms) * 1000, "booked_ms": NOW_MS + at_ms + 5, **others}


def summary(*totals: list[Any], to_ms: int = 1000, **others: object) -> Record:
    window = {"from_ms": NOW_MS, "to_ms": NOW_MS + to_ms, "asked_ms": NOW_MS + 3000}
    return {"kind": "summary", **window, "status": 200, "final": True, "totals": list(totals), **others}


def state(name: str, told: str) -> Record:
    return {"kind": "state", "id": name, "state": told}


def refusal(name: str, processor: str, reason: str) -> Record:
    return {"kind": "refusal", "processor": processor, "id": name, "reason": reason}


ALL = summary(["default", "BRL", 2, 200], ["fallback", "BRL", 1, 100])


@pytest.fixture
def good() -> Records:
    """Three payments that were charged: one accepted at once, one later, one without an answer; another was refused."""
    return [
        {"kind": "run", "format": 1, "processors": ["default", "fallback"]},
        post("a", 202),
        post("b", 503),
        post("b", None),
        post("b", 202),
        post("c", None),
        post("d", 503),
        charge("a"),
        charge("b", at_ms=10),
        charge("c", "fallback", at_ms=1000),
        ALL,
        summary(["default", "BRL", 2, 200], ["fallback", "BRL", 0, 0], to_ms=999),
    ]


def found(records: Records) -> dict[str, int]:
    verdict = judge(records)
    assert verdict["ok"] == (not any(verdict[kind] for kind in KINDS))
    return {kind: verdict[kind] for kind in KINDS if verdict[kind]}


def test_nothing_is_found_in_a_good_history(good: Records) -> None:
    assert found(good) == {}
    verdict = judge(good)
    assert [verdict[name] for name in ("offered", "accepted", "refused", "unanswered")] == [4, 2, 1, 1]
    assert (verdict["charges"], verdict["final_summaries"]) == (3, 2)


@pytest.mark.parametrize(
    ("planted", "expected"),
    [
        ([post("e", 202)], {"lost": 1}),
        ([post("e", 503), post("e", 201)], {"lost": 1}),
        ([charge("a", at_ms=2000)], {"twice_on_one": 1}),
        ([charge("a", "fallback", at_ms=2000)], {"twice_over_processors": 1}),
        ([charge("c", "default", at_ms=2000)], {"twice_over_processors": 1}),
        ([post("e", 202), charge("e", amount=101, at_ms=2000)], {"mismatched": 1}),
        ([post("e", 202), charge("e", currency="JPY", at_ms=2000)], {"mismatched": 1}),
        ([charge("e", at_ms=2000)], {"phantom": 1}),
        ([charge("d", at_ms=2000)], {"phantom": 1}),
        ([post("d", 429), post("d", 400), charge("d", at_ms=2000)], {"phantom": 1}),
        ([post("e", 202), post("e", 409, amount=7), charge("e", amount=7, at_ms=2000)], {"phantom": 1}),
        ([state("a", "unknown")], {"unknown": 1}),
        ([state("a", "accepted")], {"unknown": 1}),
        ([state("d", "settled")], {"misstated": 1}),
        ([state("a", "declined")], {"misstated": 1}),
        ([summary(["default", "BRL", 1, 100], ["fallback", "BRL", 1, 100], to_ms=1001)], {"untrue_final": 1}),
        ([summary(["default", "BRL", 2, 201], ["fallback", "BRL", 1, 100], to_ms=1001)], {"untrue_final": 1}),
        ([summary(["default", "BRL", 2, 200], ["fallback", "JPY", 1, 100], to_ms=1001)], {"untrue_final": 1}),
        ([summary(["default", "BRL", 3, 300])], {"untrue_final": 1, "changed_final": 1}),
        ([summary(["default", "BRL", 1, 100], from_ms=None, to_ms=9)], {}),
        ([summary(["default", "BRL", 3, 300], final=False)], {}),
        ([summary(status=503)], {}),
    ],
)
def test_each_planted_discrepancy_is_found(good: Records, planted: Records, expected: dict[str, int]) -> None:
    assert found([*good, *planted]) == expected


@pytest.mark.parametrize("answer", [post("d", None), post("d", 202), post("d", 500), post("d", 503, definite=False)])
def test_a_payment_may_be_charged_unless_all_its_answers_were_refusals(good: Records, answer: Record) -> None:
    assert found([*good, answer, charge("d", at_ms=2000)]) == {}


def test_either_of_two_accepted_amounts_may_be_charged_but_not_both(good: Records) -> None:
    contested = [*good, post("e", 202), post("e", 202, amount=7), charge("e", amount=7, at_ms=2000)]
    assert found(contested) == {}
    assert found([*contested, charge("e", at_ms=2000)]) == {"twice_on_one": 1}


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        ([state("e", "declined"), refusal("e", "default", "declined"), refusal("e", "fallback", "declined")], {}),
        ([state("e", "declined"), refusal("e", "default", "declined")], {"lost": 1}),
        ([state("e", "declined")], {"lost": 1}),
        ([refusal("e", "default", "declined"), refusal("e", "fallback", "declined")], {"lost": 1}),
        ([state("e", "mismatched"), charge("e", amount=101, foreign=True)], {}),
        ([state("e", "mismatched"), refusal("e", "default", "duplicate")], {}),
        ([state("e", "mismatched")], {"lost": 1}),
        (
            [state("e", "mismatched"), state("e", "accepted"), refusal("e", "default", "duplicate")],
            {"lost": 1, "misstated": 1},
        ),
    ],
)
def test_an_accepted_payment_ends_without_a_charge_only_for_a_reason_that_processors_gave(
    good: Records, ended: Records, expected: dict[str, int]
) -> None:
    assert found([*good, post("e", 202), *ended]) == expected


@pytest.mark.parametrize(
    ("in_doubt", "expected", "count"),
    [
        ([state("e", "unknown"), state("e", "accepted")], {}, 1),
        ([state("e", "unknown"), charge("e", "fallback", at_ms=2000)], {}, 1),
        ([state("e", "accepted")], {"unknown": 1}, 0),
        ([], {"lost": 1}, 0),
        ([state("e", "unknown"), charge("e", at_ms=2000)], {"unknown": 1}, 0),
    ],
)
def test_a_payment_is_in_doubt_only_at_a_processor_that_did_not_come_back(
    good: Records, in_doubt: Records, expected: dict[str, int], count: int
) -> None:
    gone = [{**good[0], "lost_processors": ["fallback"]}, *good[1:], post("e", 202), *in_doubt]
    assert found(gone) == expected
    assert judge(gone)["in_doubt"] == count


def together(gateway: list[list[Any]], processors: list[list[Any]], asked_ms: int = NOW_MS + 3000) -> Record:
    return summary(*gateway, final=False, processors=processors, asked_ms=asked_ms, heard_ms=asked_ms + 5)


BOTH = [["default", "BRL", 2, 200], ["fallback", "BRL", 1, 100]]
DEFAULT = [["default", "BRL", 2, 200]]


@pytest.mark.parametrize(
    ("planted", "expected"),
    [
        ([together(BOTH, BOTH)], {}),
        ([together(DEFAULT, BOTH)], {"wrong_at_the_moment": 1}),
        ([together([["default", "BRL", 2, 201], BOTH[1]], BOTH)], {"wrong_at_the_moment": 1}),
        ([together(DEFAULT, DEFAULT, asked_ms=NOW_MS + 800)], {}),
        ([together(BOTH, DEFAULT, asked_ms=NOW_MS + 800)], {"wrong_at_the_moment": 1}),
        ([together(BOTH, DEFAULT, asked_ms=NOW_MS + 1000)], {}),
    ],
)
def test_a_summary_has_to_be_what_was_booked_when_it_was_asked(
    good: Records, planted: Records, expected: dict[str, int]
) -> None:
    assert found([*good, *planted]) == expected
    assert judge([*good, *planted])["compared_at_the_moment"] == 1


@pytest.mark.parametrize("unsure", [{"answered": False}, {"booked_ms": None}])
def test_a_summary_may_lack_what_only_the_processor_knows(good: Records, unsure: Record) -> None:
    quiet = [{**each, **unsure} if each.get("id") == "c" and each["kind"] == "charge" else each for each in good]
    assert found([*quiet, together(DEFAULT, BOTH)]) == {}


def test_a_history_in_which_nothing_was_accepted_proves_nothing(good: Records) -> None:
    verdict = judge(good[:1])
    assert (verdict["ok"], verdict["proves_nothing"]) == (False, True)


@pytest.mark.parametrize("line", ["{", "[]", "{}", '{"kind": 1}'])
def test_a_line_that_is_no_record_is_told_by_its_number(line: str) -> None:
    with pytest.raises(HistoryError, match="line 2"):
        list(read_records(["\n", line]))


def run(path: Path | str, text: str | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603  # our own command
        [ROOT / "ops" / "judge", str(path)], check=False, capture_output=True, text=True, input=text, cwd="/"
    )


def test_the_command_tells_by_its_status_and_one_line_whether_promises_broke(good: Records, tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in good))
    kept = run(file)
    assert (kept.returncode, json.loads(kept.stdout)["ok"]) == (0, True)
    with file.open("a") as lines:
        lines.write(json.dumps(post("e", 202)))
    broken = run("-", file.read_text())
    (line,) = broken.stdout.splitlines()
    assert (broken.returncode, json.loads(line)["examples"]) == (1, {"lost": ["e"]})


@pytest.mark.parametrize("text", ["no JSON", '{"kind": "post"}', '{"kind": "run", "format": 1}', ""])
def test_the_command_refuses_what_is_no_history(text: str) -> None:
    refused = run("-", text)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("ops/judge: ")
    assert refused.stderr.count("\n") == 1


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    done = run(tmp_path / "none")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)


def test_the_verdict_is_told_in_words(good: Records) -> None:
    assert describe(judge(good)) == "Kept: 2 payments accepted, 3 charges, no promise broke."
    assert describe(judge([*good, post("e", 202), charge("f")])) == "Broken: 1 lost, 1 phantom, 2 untrue_final."
    assert describe(judge(good[:1])) == "Not proven: nothing was accepted."


def test_the_judge_imports_the_standard_library_alone() -> None:
    imported = set()
    for node in ast.walk(ast.parse((ROOT / "ops" / "judge.py").read_bytes())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(str(node.module).partition(".")[0])
    assert imported <= sys.stdlib_module_names
    assert "importlib" not in imported


def test_the_example_in_the_documents_is_a_history_that_is_judged() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text()
    example = text.partition("```json\n")[2].partition("```")[0]
    verdict = judge(read_records(example.splitlines()))
    assert verdict["ok"]
    assert (verdict["accepted"], verdict["refused"], verdict["unanswered"]) == (2, 1, 1)
