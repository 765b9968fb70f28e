"""Asks the processors' own health endpoints."""

from collections.abc import Callable, Sequence
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from actors.adapters.host_addresses import HostDirectory
from actors.adapters.http_pool import HttpPool, host_of_url
from actors.domain.processors import Processor
from actors.domain.records import ProcessorHealth

TIMEOUT_S = 2.0
"""Deadline for a whole call. It is shorter than the processor's rate limit, so a call that hangs there is given up."""
OK = 200


class _Health(msgspec.Struct):
    failing: bool
    minResponseTime: Annotated[int, msgspec.Meta(ge=0)]  # noqa: N815  # the contract's name


class HttpHealthProbe:
    """Fulfils `actors.ports.HealthProbe`."""

    def __init__(self, processors: Sequence[Processor], now_ms: Callable[[], int], hosts: HostDirectory) -> None:
        """`now_ms` is the wall clock for the times in the answers."""
        self._endpoints = {processor.name: HealthEndpoint(processor.url, hosts) for processor in processors}
        self._now_ms = now_ms

    def ask(self, processor: str) -> ProcessorHealth | None:
        asked_at_ms = self._now_ms()
        try:
            health = self._endpoints[processor].ask()
        except Exception:  # noqa: BLE001  # whatever went wrong, there is no usable answer
            return None
        if health is None:
            return None
        return ProcessorHealth(processor, health.failing, health.minResponseTime, asked_at_ms)

    def close(self) -> None:
        """End all connections."""
        for endpoint in self._endpoints.values():
            endpoint.pool.close()


class HealthEndpoint:
    """The health endpoint of one processor."""

    def __init__(self, url: str, hosts: HostDirectory) -> None:
        """Make no connection yet."""
        self.pool = HttpPool(host_of_url(hosts, url), TIMEOUT_S, 1)
        self._request = f"GET /payments/service-health HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\n\r\n".encode()

    def ask(self) -> _Health | None:
        """Make one call, and raise whatever goes wrong. Give None where the status is not 200."""
        status, body = self.pool.call(self._request)
        return msgspec.json.decode(body, type=_Health) if status == OK else None
