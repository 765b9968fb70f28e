#!/usr/bin/env python3
"""Decide from the recorded history of a payment gateway whether it kept its promises: `ops/judge FILE`.

The file holds one JSON object per line, in any order, as docs/reliability.md describes. This program uses the standard
library alone and nothing of the gateway, so that it shares no mistake with it, and judges other gateways too.
"""

import argparse
import json
import sys
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from itertools import accumulate
from typing import Any

FORMAT = 1
OVERLAP_MS = 150
"""Time by which questions sent together may arrive apart, and which a processor's answer may take to arrive."""
EXAMPLES_MAX = 5
"""How many broken payments or summaries of each kind are named."""

Record = dict[str, Any]
"""One line of the history."""
Money = tuple[int, str]
"""An amount in minor units, and its currency."""
Key = tuple[str, str]
"""A processor and a currency."""
Totals = dict[Key, tuple[int, int]]
"""Number and sum of charges; those that are zero are left out."""
NOTHING = ((0, 0), (0, 0))
Window = tuple[int | None, int | None]
"""Bounds in milliseconds since the epoch, both inclusive; None leaves one open."""


class HistoryError(Exception):
    """The file is no history."""


class RecordedHistory:
    """The records of a file by their kind, and what was posted and charged under each id."""

    def __init__(self, records: Iterable[Record]) -> None:
        kinds: dict[str, list[Record]] = defaultdict(list)
        for record in records:
            kinds[record["kind"]].append(record)
        if [run.get("format") for run in kinds["run"]] != [FORMAT]:
            raise HistoryError(f"there has to be exactly one record of the kind run, with the format {FORMAT}")
        (run,) = kinds["run"]
        self.processors = frozenset(run["processors"])
        self.lost_processors = frozenset(run.get("lost_processors", ()))
        self.posts = _by_id(kinds["post"])
        self.accepted = {name for name, posts in self.posts.items() if any(map(_is_accepted, posts))}
        self.refused = {name for name, posts in self.posts.items() if all(map(_is_refused, posts))}
        self.own = [charge for charge in kinds["charge"] if not charge.get("foreign")]
        self.charges = _by_id(self.own)
        self.foreign = _by_id(charge for charge in kinds["charge"] if charge.get("foreign"))
        self.refusals = _by_id(kinds["refusal"])
        self.states = {name: {each["state"] for each in told} for name, told in _by_id(kinds["state"]).items()}
        self.summaries = [each for each in kinds["summary"] if each["status"] == HTTPStatus.OK]
        self.finals = [each for each in self.summaries if each["final"]]

    def ends_rightly(self, name: str) -> bool:
        """Tell whether an accepted payment may end without a charge: the gateway tells of it, with a reason."""
        told = self.states.get(name, set())
        reasons = {(each["reason"], each["processor"]) for each in self.refusals.get(name, ())}
        if told == {"declined"}:
            return all(("declined", processor) in reasons for processor in self.processors)
        if told == {"mismatched"}:
            return name in self.foreign or any(reason == "duplicate" for reason, _ in reasons)
        return self.is_in_doubt(name)

    def is_in_doubt(self, name: str) -> bool:
        """Tell whether only a processor that did not come back can know the payment, and the gateway says so."""
        elsewhere = {each["processor"] for each in self.charges.get(name, ())} - self.lost_processors
        return bool(self.lost_processors) and "unknown" in self.states.get(name, ()) and not elsewhere


def _by_id(records: Iterable[Record]) -> dict[str, list[Record]]:
    grouped: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        grouped[record["id"]].append(record)
    return dict(grouped)


def _money(record: Record) -> Money:
    return record["amount"], record["currency"]


def _is_accepted(post: Record) -> bool:
    return post["status"] in {HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT}


def _is_refused(post: Record) -> bool:
    """Tell whether the answer promises that nothing is kept: 4xx or 503, unless the record says that it does not."""
    status = post["status"] or 0
    is_error = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    return post.get("definite", True) and (is_error or status == HTTPStatus.SERVICE_UNAVAILABLE)


def judge_payments(history: RecordedHistory) -> dict[str, list[str]]:
    """Find the payments for which a promise broke, by the kind of it."""
    found: dict[str, list[str]] = {
        kind: []
        for kind in ("lost", "twice_on_one", "twice_over_processors", "mismatched", "phantom", "unknown", "misstated")
    }
    for name in history.posts.keys() | history.charges.keys():
        posts, charges = history.posts.get(name, []), history.charges.get(name, [])
        told = history.states.get(name, set())
        posted = {_money(post) for post in posts}
        possible = {_money(post) for post in posts if not _is_refused(post)}
        charged = {_money(charge) for charge in charges}
        where = [charge["processor"] for charge in charges]
        is_closed = bool(told & {"declined", "mismatched"})
        is_open = bool(told & {"unknown", "accepted"}) and not is_closed and not history.is_in_doubt(name)
        if name in history.accepted and is_open:
            found["unknown"].append(name)
        elif name in history.accepted and not charges and not history.ends_rightly(name):
            found["lost"].append(name)
        if len(where) > len(set(where)):
            found["twice_on_one"].append(name)
        if len(set(where)) > 1:
            found["twice_over_processors"].append(name)
        if posted and charged - posted:
            found["mismatched"].append(name)
        if (charged and not posted) or charged & (posted - possible):
            found["phantom"].append(name)
        if (is_closed and (charges or len(told) > 1)) or ("settled" in told and not charges):
            found["misstated"].append(name)
    return {kind: sorted(names) for kind, names in found.items()}


class Book:
    """The charges of one processor in one currency, in the order of their instants."""

    def __init__(self, charges: Sequence[Record]) -> None:
        self._charges = sorted(charges, key=lambda each: int(each["requested_us"]))
        self._instants_us = [each["requested_us"] for each in self._charges]
        self._sums = [0, *accumulate(each["amount"] for each in self._charges)]

    def total(self, window: Window) -> tuple[int, int]:
        """Count and add up the charges of a window."""
        first, last = self._bounds(window)
        return last - first, self._sums[last] - self._sums[first]

    def limits(self, window: Window, before_ms: int, after_ms: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Count and add up the charges of a window that were known by `before_ms`, and those known by `after_ms`.

        Only the second count includes charges that were booked without an answer at a time that is not recorded.
        """
        first, last = self._bounds(window)
        least, most = [], []
        for each in self._charges[first:last]:
            booked_ms = each.get("booked_ms")
            if booked_ms is None or booked_ms <= after_ms:
                most.append(each["amount"])
                if booked_ms is not None and booked_ms <= before_ms and each.get("answered", True):
                    least.append(each["amount"])
        return (len(least), sum(least)), (len(most), sum(most))

    def _bounds(self, window: Window) -> tuple[int, int]:
        from_ms, to_ms = window
        first = 0 if from_ms is None else bisect_left(self._instants_us, from_ms * 1000)
        last = len(self._instants_us) if to_ms is None else bisect_right(self._instants_us, to_ms * 1000)
        return first, max(first, last)


def _books(charges: Iterable[Record]) -> dict[Key, Book]:
    grouped: dict[Key, list[Record]] = defaultdict(list)
    for charge in charges:
        grouped[charge["processor"], charge["currency"]].append(charge)
    return {key: Book(mine) for key, mine in grouped.items()}


def _totals(rows: Iterable[Sequence[Any]]) -> Totals:
    return {(processor, currency): (count, amount) for processor, currency, count, amount in rows if count or amount}


def judge_finals(history: RecordedHistory, books: Mapping[Key, Book]) -> tuple[list[Record], list[Record]]:
    """Find the summaries that were called final and are untrue at the end, and final ones that changed later."""
    untrue, changed, first = [], [], dict[Window, Totals]()
    for summary in sorted(history.finals, key=lambda each: int(each["asked_ms"])):
        window, told = (summary["from_ms"], summary["to_ms"]), _totals(summary["totals"])
        if told != {key: total for key, book in books.items() if (total := book.total(window)) != (0, 0)}:
            untrue.append(summary)
        if told != first.setdefault(window, told):
            changed.append(summary)
    return untrue, changed


def judge_moments(history: RecordedHistory, books: Mapping[Key, Book]) -> tuple[int, list[Record]]:
    """Compare summaries with what the processors answered at the same moment, where that was recorded.

    Return how many were compared, and those that differ by more than was booked while they were given.
    """
    together = [each for each in history.summaries if "processors" in each]
    return len(together), [each for each in together if not _is_true_at_the_moment(each, books)]


def _is_true_at_the_moment(summary: Record, books: Mapping[Key, Book]) -> bool:
    window = summary["from_ms"], summary["to_ms"]
    before_ms, after_ms = summary["asked_ms"] - OVERLAP_MS, summary["heard_ms"] + OVERLAP_MS
    limits = {key: book.limits(window, before_ms, after_ms) for key, book in books.items()}
    answers = _totals(summary["totals"]), _totals(summary["processors"])
    return all(
        least <= value <= most
        for told in answers
        for key in told.keys() | limits.keys()
        for least, value, most in zip(
            limits.get(key, NOTHING)[0], told.get(key, (0, 0)), limits.get(key, NOTHING)[1], strict=True
        )
    )


def judge(records: Iterable[Record]) -> Record:
    """Judge a history.

    Raises:
        HistoryError: it is none.
    """
    history = RecordedHistory(records)
    books = _books(history.own)
    payments = judge_payments(history)
    untrue, changed = judge_finals(history, books)
    compared, wrong = judge_moments(history, books)
    broken: dict[str, Sequence[Any]] = {
        **payments,
        "untrue_final": untrue,
        "changed_final": changed,
        "wrong_at_the_moment": wrong,
    }
    return {
        "offered": len(history.posts),
        "accepted": len(history.accepted),
        "refused": len(history.refused),
        "unanswered": len(history.posts) - len(history.accepted) - len(history.refused),
        "charges": len(history.own),
        "in_doubt": sum(map(history.is_in_doubt, history.posts)),
        "final_summaries": len(history.finals),
        "compared_at_the_moment": compared,
        **{kind: len(found) for kind, found in broken.items()},
        "examples": {kind: found[:EXAMPLES_MAX] for kind, found in broken.items() if found},
        "proves_nothing": not history.accepted,
        "ok": bool(history.accepted) and not any(broken.values()),
    }


def read_records(lines: Iterable[str]) -> Iterator[Record]:
    """Read one record from each line that is not empty.

    Raises:
        HistoryError: a line is no JSON object with a kind.
    """
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                record = json.loads(line)
            except ValueError as error:
                raise HistoryError(f"line {number}: {error}") from error
            if not (isinstance(record, dict) and isinstance(record.get("kind"), str)):
                raise HistoryError(f"line {number} is not an object with a kind")
            yield record


PURPOSE = "Decide from the recorded history of a payment gateway whether it kept its promises."
NOTES = """\
examples:
  ops/chaos --history run.jsonl; ops/judge run.jsonl  # a run of the gateway here
  ops/judge --json - < run.jsonl                      # for scripts

how long it takes: some seconds for a million records

exit status:
    0  every promise was kept
    1  a promise broke, or the history proves nothing
    2  wrong usage, or the file is no history
    3  the file cannot be read
  130  interrupted by Ctrl-C

docs/reliability.md describes the file. Where standard output is no terminal, the result is one line of JSON there.
"""


def main(arguments: Sequence[str]) -> int:
    """Judge the file that the command line names."""
    parser = argparse.ArgumentParser(
        "ops/judge", description=PURPOSE, epilog=NOTES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", help="one JSON object per line; - stands for standard input")
    parser.add_argument("--json", action="store_true", help="print one line of JSON, and nothing else")
    given = parser.parse_args(arguments)
    try:
        with open(0 if given.file == "-" else given.file, encoding="utf-8") as lines:  # noqa: PTH123 - 0 is no path
            verdict = judge(read_records(lines))
    except OSError as error:
        return _fail(str(error), 3)
    except HistoryError as error:
        return _fail(str(error), 2)
    except (KeyError, TypeError, ValueError) as error:
        return _fail(f"a record lacks a field, or has one of another type: {error!r}", 2)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    words = describe(verdict)
    if given.json or not sys.stdout.isatty():
        sys.stdout.write(json.dumps({**verdict, "verdict": words}) + "\n")
        words = "" if given.json else words + "\n"
        sys.stderr.write(words)
    else:
        sys.stdout.write(words + "\n")
    return 0 if verdict["ok"] else 1


def describe(verdict: Mapping[str, Any]) -> str:
    """Say in a sentence what `judge` found."""
    if verdict["ok"]:
        return f"Kept: {verdict['accepted']:,} payments accepted, {verdict['charges']:,} charges, no promise broke."
    found = ", ".join(f"{verdict[kind]:,} {kind}" for kind in verdict["examples"])
    return f"Broken: {found}." if found else "Not proven: nothing was accepted."


def _fail(reason: str, status: int) -> int:
    sys.stderr.write(f"ops/judge: {reason}\n")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
