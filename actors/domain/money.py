"""Amounts of money: decimals outside, whole minor units of a currency inside, such as cents, yen or fils."""

from dataclasses import dataclass
from decimal import Decimal

from actors.errors import InvalidAmountError

BRL = "BRL"
"""The currency of the event, and of everything that was stored before payments had a currency."""
AMOUNT_MAX = Decimal(10**12)
"""The largest amount, in major units."""

_CODES_BY_DECIMALS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: """
        AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW
        CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF
        IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK
        MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP
        SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG
        YER ZAR ZMW ZWG
    """,
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
"""The currencies of ISO 4217 with minor units, by their number of decimals. Withdrawn ones stay: they may be stored."""
DECIMALS = {code: decimals for decimals, codes in _CODES_BY_DECIMALS.items() for code in codes.split()}
"""The number of decimals of each currency, by its alphabetic code."""

_UNITS = {decimals: Decimal(1).scaleb(-decimals) for decimals in _CODES_BY_DECIMALS}
_CODES = tuple(DECIMALS)
_INDICES = {code: index for index, code in enumerate(_CODES)}
_INDEX_BITS = 8
AMOUNT_MINOR_MAX = int(AMOUNT_MAX.scaleb(max(DECIMALS.values())))
"""The largest amount of any currency, in its minor units."""
PACKED_BITS = AMOUNT_MINOR_MAX.bit_length() + _INDEX_BITS
"""Bits that a packed amount has at most."""


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in a currency."""

    minor: int
    """Whole minor units."""
    currency: str
    """Alphabetic code of ISO 4217, in upper case."""

    @property
    def decimal(self) -> Decimal:
        """The amount in major units, with exactly the decimals of its currency."""
        return Decimal(self.minor).scaleb(-DECIMALS[self.currency])

    @property
    def packed(self) -> int:
        """One number of `PACKED_BITS`, which has a meaning within this process alone."""
        return self.minor << _INDEX_BITS | _INDICES[self.currency]

    @classmethod
    def unpacked(cls, packed: int) -> "Money":
        """Give back what was packed."""
        return cls(packed >> _INDEX_BITS, _CODES[packed & (1 << _INDEX_BITS) - 1])


def currency_code(text: str) -> str | None:
    """Find the currency that a code in upper or lower case means; None where there is none with minor units."""
    # Outside of ASCII, other letters have the same capitals.
    code = text.upper() if text.isascii() else ""
    return code if code in DECIMALS else None


def minor_units(amount: Decimal, currency: str) -> int:
    """Convert a decimal amount to whole minor units.

    Raises:
        InvalidAmountError: the amount is not finite, not positive, has more decimals than its currency, or is outside
            of the bounds.
    """
    if not amount.is_finite():
        raise InvalidAmountError("must be a finite number")
    if amount <= 0:
        raise InvalidAmountError("must be greater than zero")
    decimals = DECIMALS[currency]
    unit = _UNITS[decimals]
    if not unit <= amount <= AMOUNT_MAX:
        raise InvalidAmountError(f"must be between {unit} and {AMOUNT_MAX:.{decimals}f}")
    # A product would be rounded to 28 digits, so that a fraction of a unit could vanish; a remainder is exact.
    if amount % unit:
        raise InvalidAmountError(f"must have at most {decimals} decimals in {currency}")
    return int(amount.scaleb(decimals))
