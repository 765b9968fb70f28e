"""The payment processors that the operator has configured."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from urllib.parse import urlsplit

from actors.domain.money import BRL, DECIMALS, currency_code
from actors.errors import SettingsError

EVENT_NAMES = ("default", "fallback")
"""The two processors of the event. The summary always names both."""

LOOK_UP_ONLY = "lookup"
"""Stands in the place of currencies where a processor is sent no payments any more."""
EVERY_CURRENCY = frozenset(DECIMALS)


@dataclass(frozen=True, slots=True)
class Processor:
    """A configured payment processor."""

    name: str
    url: str
    """Base address, for example `http://payment-processor-default:8080`."""
    fee: Decimal
    """Share of the amount that the processor keeps; 0.05 is 5 %."""
    currencies: frozenset[str] = EVERY_CURRENCY
    """The currencies that it takes: all, unless the operator has named some; empty if it is only asked about earlier
    payments."""

    @property
    def charges(self) -> bool:
        """Whether it is sent payments. Otherwise it is only asked for those that it may have charged before."""
        return bool(self.currencies)


EVENT_PROCESSORS = tuple(
    Processor(name, f"http://payment-processor-{name}:8080", Decimal(fee))
    for name, fee in zip(EVENT_NAMES, ("0.05", "0.15"), strict=True)
)
"""The event's processors, with the fees of its preview."""


@dataclass(frozen=True, slots=True)
class PostedCurrencies:
    """Which currencies clients may pay in."""

    default: str
    """The currency of a payment that names none."""
    taken: frozenset[str]
    """Currencies that some processor takes."""


ALL_CURRENCIES = PostedCurrencies(BRL, EVERY_CURRENCY)
"""The default: every currency, and reais where a payment names none."""


def posted_currencies(default: str, processors: Sequence[Processor]) -> PostedCurrencies:
    """Gather what the processors take.

    Raises:
        SettingsError: the default is no currency, or no processor takes it.
    """
    code = currency_code(default)
    taken = frozenset[str]().union(*(processor.currencies for processor in processors))
    if code is None:
        raise SettingsError(f"CURRENCY={default!r} is not an alphabetic currency code of ISO 4217")
    if code not in taken:
        raise SettingsError(f"CURRENCY={default!r} is a currency that no processor in PROCESSORS takes")
    return PostedCurrencies(code, taken)


def parse_processors(text: str) -> tuple[Processor, ...]:
    """Parse a list like `"default=http://host:8080,0.05 fallback=http://host:8080,0.15,BRL|USD"`.

    `old=http://host:8080,0.05,lookup` is only asked for payments that it may have charged before.

    Raises:
        SettingsError: the list is empty, a name occurs twice, an address is not http, a fee is outside of [0, 1), or a
            currency is not in ISO 4217.
    """
    processors = tuple(_parse_one(item) for item in text.split())
    if not processors:
        raise SettingsError("PROCESSORS names no processor")
    if len({processor.name for processor in processors}) < len(processors):
        raise SettingsError("PROCESSORS names a processor twice")
    return processors


def _parse_one(item: str) -> Processor:
    name, _, rest = item.partition("=")
    url, _, terms = rest.partition(",")
    fee_text, separator, codes = terms.partition(",")
    try:
        parts, fee = urlsplit(url), Decimal(fee_text)
        usable = (
            parts.hostname and (parts.port is None or parts.port > 0) and url.rstrip("/") == f"http://{parts.netloc}"
        )
    except (InvalidOperation, ValueError):
        usable, fee = None, Decimal(-1)
    if not ("@" not in url and name.isidentifier() and usable and fee.is_finite() and 0 <= fee < 1):
        raise SettingsError(f"PROCESSORS: {item!r} is not name=http://host:port,fee with a fee from 0 to below 1")
    if not separator:
        return Processor(name, url.rstrip("/"), fee)
    if codes == LOOK_UP_ONLY:
        return Processor(name, url.rstrip("/"), fee, frozenset())
    currencies = {code: currency_code(code) for code in codes.split("|")}
    unknown = [code for code, known in currencies.items() if known is None]
    if unknown:
        raise SettingsError(f"PROCESSORS: {item!r} names {unknown[0]!r}, which is not a currency of ISO 4217")
    return Processor(name, url.rstrip("/"), fee, frozenset(filter(None, currencies.values())))
