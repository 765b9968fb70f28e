"""Measures what viewers of the live page cost: CPU of the whole gateway, and the bytes that they are sent."""

import argparse
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import requests

from ops.benchmarks.deployment import Deployment
from ops.environment import ROOT

VIEWERS = (0, 1, 20)
SECONDS = 20.0
POLL_S = 1.0
OVERLAP_S = 4
"""The page asks again for this many of the seconds that it knows."""
SETTLE_S = 3.0
ANSWER_S_MAX = 5.0


def run(arguments: Sequence[str]) -> dict[str, object]:
    """Let none, one and twenty viewers ask for the status once a second, and measure the CPU of the idle gateway."""
    parser = argparse.ArgumentParser(prog="ops/bench viewers", description=run.__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"for each number; default: {SECONDS:g}")
    given = parser.parse_args(arguments)
    figures: dict[str, object] = {}
    with Deployment(ROOT, replicas=3) as deployment:
        url = f"http://127.0.0.1:{deployment.port}/status"
        time.sleep(SETTLE_S)
        for viewers in VIEWERS:
            with _watching(url, viewers):
                time.sleep(SETTLE_S)
                before, began_s = deployment.usage(), time.monotonic()
                time.sleep(given.seconds)
                after, lasted_s = deployment.usage(), time.monotonic() - began_s
            figures[f"cpu_ms_per_s_with_{viewers}"] = {
                name: round((after[name].cpu_s - before[name].cpu_s) * 1000 / lasted_s, 1) for name in after
            }
        now_s = int(time.time())
        figures["first_bytes"] = len(_ask(url, None))
        figures["poll_bytes"] = len(_ask(url, now_s - OVERLAP_S))
    return figures


@contextmanager
def _watching(url: str, viewers: int) -> Iterator[None]:
    ended = threading.Event()
    threads = [threading.Thread(target=_watch, args=(url, ended)) for _ in range(viewers)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def _watch(url: str, ended: threading.Event) -> None:
    after_s = None
    while not ended.wait(POLL_S):
        _ask(url, after_s)
        after_s = int(time.time()) - OVERLAP_S


def _ask(url: str, after_s: int | None) -> bytes:
    with requests.Session() as session:
        session.trust_env = False  # Loopback needs no proxy, whatever the environment says.
        answer = session.get(url, params={} if after_s is None else {"after": after_s}, timeout=ANSWER_S_MAX)
    answer.raise_for_status()
    return answer.content
