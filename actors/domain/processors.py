"""The payment processors that the operator has configured."""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from urllib.parse import urlsplit

from actors.errors import SettingsError

EVENT_NAMES = ("default", "fallback")
"""The two processors of the event. The summary always names both."""


@dataclass(frozen=True, slots=True)
class Processor:
    """A configured payment processor."""

    name: str
    url: str
    """Base address, for example `http://payment-processor-default:8080`."""
    fee: Decimal
    """Share of the amount that the processor keeps; 0.05 is 5 %."""


def parse_processors(text: str) -> tuple[Processor, ...]:
    """Parse a list like `"default=http://host:8080,0.05 fallback=http://host:8080,0.15"`.

    Raises:
        SettingsError: the list is empty, a name occurs twice, an address is not http, or a fee is outside of [0, 1).
    """
    processors = tuple(_parse_one(item) for item in text.split())
    if not processors:
        raise SettingsError("PROCESSORS names no processor")
    if len({processor.name for processor in processors}) < len(processors):
        raise SettingsError("PROCESSORS names a processor twice")
    return processors


def _parse_one(item: str) -> Processor:
    name, _, rest = item.partition("=")
    url, _, fee_text = rest.rpartition(",")
    try:
        parts, fee = urlsplit(url), Decimal(fee_text)
        usable = (
            parts.hostname and (parts.port is None or parts.port > 0) and url.rstrip("/") == f"http://{parts.netloc}"
        )
    except (InvalidOperation, ValueError):
        usable, fee = None, Decimal(-1)
    if not ("@" not in url and name.isidentifier() and usable and fee.is_finite() and 0 <= fee < 1):
        raise SettingsError(f"PROCESSORS: {item!r} is not name=http://host:port,fee with a fee from 0 to below 1")
    return Processor(name, url.rstrip("/"), fee)
