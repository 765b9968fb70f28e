"""Asks the processors' own health endpoints."""

from collections.abc import Callable, Sequence
from typing import Annotated

import gevent
import msgspec
import requests

from actors.domain.processors import Processor
from actors.domain.records import ProcessorHealth

TIMEOUT_S = 2.0
"""Deadline for a whole call. It is shorter than the processor's rate limit, so a call that hangs there is given up."""


class _Health(msgspec.Struct):
    failing: bool
    minResponseTime: Annotated[int, msgspec.Meta(ge=0)]  # noqa: N815  # the contract's name


class HttpHealthProbe:
    """Fulfils `actors.ports.HealthProbe`."""

    def __init__(self, processors: Sequence[Processor], now_ms: Callable[[], int]) -> None:
        """`now_ms` is the wall clock for the times in the answers."""
        self._urls = {processor.name: f"{processor.url}/payments/service-health" for processor in processors}
        self._now_ms = now_ms
        self._session = requests.Session()

    def ask(self, processor: str) -> ProcessorHealth | None:
        asked_at_ms = self._now_ms()
        try:
            # The timeout of requests applies to each receive, so an answer that drips in could hold the caller.
            with gevent.Timeout(TIMEOUT_S, requests.Timeout("the whole call")):
                response = self._session.get(self._urls[processor], timeout=TIMEOUT_S)
            response.raise_for_status()
            health = msgspec.json.decode(response.content, type=_Health)
        except (requests.RequestException, msgspec.MsgspecError, UnicodeDecodeError):
            return None
        return ProcessorHealth(processor, health.failing, health.minResponseTime, asked_at_ms)

    def close(self) -> None:
        """End all connections."""
        self._session.close()
