"""The summary probe asks for windows that have ended, and reads amounts to the cent."""

import json
from collections.abc import Callable
from random import Random
from urllib.parse import parse_qs, urlsplit

from ops.chaostest.client import open_connection
from ops.chaostest.summary_probe import ChargeTotals, ask_summary, draw_window, iso

Reply = tuple[int, dict[str, str], bytes] | None
Serve = Callable[[Callable[[str, str, bytes], Reply]], str]
BEGAN_MS, NOW_MS = 1_752_580_000_000, 1_752_580_100_000


def test_every_window_has_ended_and_half_are_as_the_event_asks() -> None:
    rng = Random(1)
    windows = [draw_window(rng, BEGAN_MS, NOW_MS) for _ in range(2000)]
    for from_ms, to_ms in windows:
        assert to_ms < NOW_MS
        assert from_ms is None or from_ms <= to_ms
    assert 900 < windows.count((NOW_MS - 15_000, NOW_MS - 1_500)) < 1100


def test_no_window_ends_before_the_run_began() -> None:
    rng = Random(1)
    assert all(draw_window(rng, NOW_MS - 10, NOW_MS)[1] >= NOW_MS - 1_500 for _ in range(200))


def test_instants_are_written_to_the_millisecond() -> None:
    assert iso(1_752_580_000_007) == "2025-07-15T11:46:40.007Z"


def test_a_summary_is_asked_for_in_milliseconds_and_read_to_the_cent(serve: Serve) -> None:
    asked: list[str] = []

    def reply(_method: str, path: str, _body: bytes) -> Reply:
        asked.append(path)
        figures = {
            "default": {"totalRequests": 3, "totalAmount": 4_503_599_627_370.29},
            "fallback": {"totalRequests": 0, "totalAmount": 0},
        }
        return 200, {"fiel-summary-final": "true"}, json.dumps(figures).encode()

    with open_connection(serve(reply)) as connection:
        answer = ask_summary(connection, BEGAN_MS, NOW_MS + 7)
    assert parse_qs(urlsplit(asked[0]).query) == {"from": [iso(BEGAN_MS)], "to": [iso(NOW_MS + 7)]}
    assert answer.final
    assert answer.totals == {"default": ChargeTotals(3, 450_359_962_737_029), "fallback": ChargeTotals(0, 0)}


def test_an_answer_with_an_error_status_is_kept_without_totals(serve: Serve) -> None:
    with open_connection(serve(lambda *_: (503, {}, b"{}"))) as connection:
        answer = ask_summary(connection, None, NOW_MS)
    assert (answer.status, answer.final, answer.totals) == (503, False, {})
