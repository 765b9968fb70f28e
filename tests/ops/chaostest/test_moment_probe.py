"""Gateway and processors are asked for one window before any of them is read."""

import json
import math
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

from ops.chaostest.client import open_connection
from ops.chaostest.moment_probe import QUIET_S_MIN, WINDOW_MS, MomentProbe, ask_at_once
from ops.chaostest.summary_probe import ChargeTotals

Reply = tuple[int, dict[str, str], bytes] | None
Serve = Callable[[Callable[[str, str, bytes], Reply]], str]
DEADLINE_S = 20
YEN = {"totalRequests": 1, "totalAmount": 7}
GATEWAY = {
    "default": {"totalRequests": 2, "totalAmount": 20.5},
    "fallback": {"totalRequests": 0, "totalAmount": 0},
    "currencies": {"JPY": {"default": YEN}},
}
PROCESSOR = {"totalRequests": 2, "totalAmount": 20.5, "totalFee": 1, "feePerTransaction": 0.05}


def answers(content: object) -> Callable[[str, str, bytes], Reply]:
    return lambda *_: (200, {"fiel-summary-final": "false"}, json.dumps(content).encode())


def test_all_are_asked_for_the_same_window_at_once(serve: Serve) -> None:
    asked: list[str] = []
    together = threading.Barrier(3, timeout=DEADLINE_S)

    def reply(content: object) -> Callable[[str, str, bytes], Reply]:
        def wait(method: str, path: str, body: bytes) -> Reply:
            asked.append(path.partition("?")[2])
            together.wait()  # Nobody is answered before all are asked.
            return answers(content)(method, path, body)

        return wait

    other = {"totalRequests": 0, "totalAmount": 0}
    default_processor = {**PROCESSOR, "currencies": {"JPY": YEN}}
    urls = [serve(reply(content)) for content in (GATEWAY, default_processor, other)]
    with ExitStack() as ends:
        gateway, default, fallback = (ends.enter_context(open_connection(url)) for url in urls)
        found = ask_at_once(gateway, {"default": default, "fallback": fallback}, 1500)
    assert found is not None
    assert len(set(asked)) == 1
    assert (found.sent_ms - found.to_ms, found.to_ms - found.from_ms) == (1500, WINDOW_MS)
    assert found.sent_ms <= found.heard_ms
    assert found.gateway.totals == found.processors
    assert not found.is_comparable, "the gateway did not say of which instant its totals are"
    assert found.processors == {
        "default": ChargeTotals(2, 2050),
        "default JPY": ChargeTotals(1, 7),
        "fallback": ChargeTotals(0, 0),
    }


def test_a_summary_is_compared_where_the_gateway_says_of_which_instant_it_is(serve: Serve) -> None:
    headers = {"fiel-summary-as-of": "2025-11-26T08:00:02.100Z"}
    urls = serve(lambda *_: (200, headers, json.dumps(GATEWAY).encode())), serve(lambda *_: (503, headers, b""))
    for url, is_comparable in zip(urls, (True, False), strict=True):
        with open_connection(url) as gateway:
            found = ask_at_once(gateway, {}, 1500)
        assert found is not None
        assert found.is_comparable == is_comparable


def test_where_one_does_not_answer_nothing_is_compared(serve: Serve) -> None:
    urls = serve(answers(GATEWAY)), serve(lambda *_: None), serve(lambda *_: (500, {}, b""))
    with ExitStack() as ends:
        gateway, silent, failing = (ends.enter_context(open_connection(url)) for url in urls)
        assert ask_at_once(gateway, {"default": silent}, 1500) is None
        assert ask_at_once(gateway, {"default": failing}, 1500) is None


def test_nothing_is_asked_soon_after_a_fault(serve: Serve) -> None:
    url, quiet_s = serve(answers(PROCESSOR)), [QUIET_S_MIN - 0.1]
    looked = threading.Semaphore(0)

    def look() -> float:
        looked.release()
        return quiet_s[0]

    probe = MomentProbe(lambda: [serve(answers(GATEWAY))], {"default": url}, look)
    probe.start()
    try:
        assert looked.acquire(timeout=DEADLINE_S)
        assert looked.acquire(timeout=DEADLINE_S)
        assert probe.answers == []
        quiet_s[0] = math.inf
        deadline_s = time.monotonic() + DEADLINE_S
        while not probe.answers:
            assert time.monotonic() < deadline_s
            assert looked.acquire(timeout=DEADLINE_S)
    finally:
        probe.stop()
