"""The processors' own health endpoints."""

from collections.abc import Callable, Sequence

import requests

from actors.domain.processors import Processor
from actors.ports import ProcessorHealth

TIMEOUT_S = 2.0
"""Shorter than the processor's window: a call that was queued there is given up."""


class HttpHealthProbe:
    """Fulfils `actors.ports.HealthProbe`."""

    def __init__(self, processors: Sequence[Processor], now_ms: Callable[[], int]) -> None:
        """`now_ms` is the wall clock that answers are stamped with."""
        self._urls = {processor.name: f"{processor.url}/payments/service-health" for processor in processors}
        self._now_ms = now_ms
        self._session = requests.Session()

    def ask(self, processor: str) -> ProcessorHealth | None:
        """Ask one processor; see the protocol."""
        asked_at_ms = self._now_ms()
        try:
            response = self._session.get(self._urls[processor], timeout=TIMEOUT_S)
            response.raise_for_status()
            answer = response.json()
            return ProcessorHealth(processor, bool(answer["failing"]), int(answer["minResponseTime"]), asked_at_ms)
        except (requests.RequestException, KeyError, TypeError, ValueError):
            return None

    def close(self) -> None:
        """End all connections."""
        self._session.close()
