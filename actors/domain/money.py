"""Amounts of money: decimals outside, whole cents inside."""

from decimal import Decimal

from actors.errors import InvalidAmountError

AMOUNT_MIN = Decimal("0.01")
AMOUNT_MAX = Decimal(10**12)


def amount_cents(amount: Decimal) -> int:
    """Convert a decimal amount to whole cents.

    Raises:
        InvalidAmountError: the amount is not finite, not positive, has more than two decimals, or is outside of the
            bounds.
    """
    if not amount.is_finite():
        raise InvalidAmountError("must be a finite number")
    if amount <= 0:
        raise InvalidAmountError("must be greater than zero")
    if not AMOUNT_MIN <= amount <= AMOUNT_MAX:
        raise InvalidAmountError("must be between 0.01 and 1000000000000.00")
    # A product would be rounded to 28 digits, so that a fraction of a cent could vanish; a remainder is exact.
    if amount % AMOUNT_MIN:
        raise InvalidAmountError("must have at most two decimals")
    return int(amount * 100)


def decimal_amount(cents: int) -> Decimal:
    """Convert cents to a decimal with exactly two places."""
    return Decimal(cents).scaleb(-2)
