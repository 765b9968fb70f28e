"""Decides which amount a posted id may have: by what was accepted here, what was heard, and what Postgres decided."""

from enum import Enum
from uuid import UUID

from actors.domain.known_ids import KnownIds
from actors.domain.level import Level
from actors.domain.money import PACKED_BITS, Money
from actors.domain.payment import Payment

DECIDED = 1 << PACKED_BITS
"""Marks an amount that Postgres has a row of: nothing else is believed under its id any more."""
CONTESTED = DECIDED << 1
"""Marks an amount beside which another one was accepted under the same id, before Postgres decided."""
MONEY = DECIDED - 1
"""The bits of a remembered number that hold the packed amount."""


class Verdict(Enum):
    """What this replica knows against a posted amount."""

    NEW = "new"
    """Nothing: it may be accepted."""
    REPEATED = "repeated"
    """It was accepted here before, or Postgres has it."""
    REFUSED = "refused"
    """Postgres has another amount under the id."""
    UNCONFIRMED = "unconfirmed"
    """Another amount was accepted here, and is the only one that is known of; Postgres may know better."""
    CONTESTED = "contested"
    """Several amounts were accepted under the id, or another one elsewhere: only Postgres can tell which came first."""


class FirstAmounts:
    """Remembers the amounts of the latest ids, and where each is known from.

    A payment counts as repeated only if this replica's journal or Postgres has it, not if another replica told of it.
    Each id costs no more than the 24 bytes of `KnownIds`: the marks stand in two bits that no amount needs.
    """

    def __init__(self, size_max: int) -> None:
        """Remember `size_max` ids that were accepted here or decided by Postgres, and as many that were heard of."""
        self._size_max = size_max
        self._accepted = KnownIds(size_max)
        self._heard = KnownIds(size_max)

    def judge(self, payment: Payment) -> Verdict:
        """Tell what is known against a payment that is posted."""
        accepted = self._accepted.get(payment.correlation_id)
        heard = self._heard.get(payment.correlation_id)
        if accepted is None and heard is None:
            return Verdict.NEW
        same = Verdict.NEW if accepted is None else Verdict.REPEATED
        known = heard if accepted is None else accepted
        assert known is not None
        is_same = known & MONEY == payment.money.packed
        if known & DECIDED:
            return same if is_same else Verdict.REFUSED
        if known & CONTESTED:
            return Verdict.CONTESTED
        if is_same:
            return same
        # If an amount is only known from another replica, the posted one may have come first, on a third replica.
        return Verdict.CONTESTED if accepted is None else Verdict.UNCONFIRMED

    def accept(self, payment: Payment) -> None:
        """Remember a payment that was judged to be new, and that this replica keeps."""
        self._accepted.remember(payment.correlation_id, payment.money.packed)

    def forget(self, payment: Payment) -> None:
        """Drop a payment that was accepted and could not be kept after all."""
        if self._accepted.get(payment.correlation_id) == payment.money.packed:
            self._accepted.forget(payment.correlation_id)

    def take_over(self, payment: Payment) -> None:
        """Remember a payment that stands in this replica's journal, whether or not another amount was accepted too."""
        correlation_id, packed = payment.correlation_id, payment.money.packed
        heard = self._heard.get(correlation_id)
        if self._accepted.get(correlation_id) is not None:
            self._contest(self._accepted, correlation_id, packed)
        elif heard is None or heard in {packed, packed | DECIDED}:
            self._accepted.remember(correlation_id, packed)
        elif not heard & DECIDED:
            self._accepted.remember(correlation_id, packed | CONTESTED)

    def hear(self, payment: Payment) -> None:
        """Remember that another replica accepted a payment."""
        correlation_id, packed = payment.correlation_id, payment.money.packed
        self._contest(self._accepted, correlation_id, packed)
        if self._heard.get(correlation_id) is None:
            self._heard.remember(correlation_id, packed)
        else:
            self._contest(self._heard, correlation_id, packed)

    def hear_decided(self, payment: Payment) -> None:
        """Remember that a replica found this amount in Postgres: it is believed against all that was heard before.

        What this replica found in Postgres itself stays.
        """
        correlation_id, packed = payment.correlation_id, payment.money.packed
        self._heard.remember(correlation_id, packed | DECIDED)
        accepted = self._accepted.get(correlation_id)
        if accepted is None or accepted & DECIDED:
            return
        if accepted & MONEY == packed:
            self._accepted.remember(correlation_id, packed | DECIDED)
        else:
            self._accepted.forget(correlation_id)

    def decide(self, payment: Payment) -> None:
        """Remember what Postgres has under an id, whatever was believed before."""
        self._accepted.remember(payment.correlation_id, payment.money.packed | DECIDED)

    def is_decided(self, correlation_id: UUID) -> bool:
        """Tell whether Postgres has a row with the amount that is believed here under an id."""
        return bool((self._accepted.get(correlation_id) or 0) & DECIDED)

    def get(self, correlation_id: UUID) -> Money | None:
        """Give the amount that is believed to have come first; None where the id is not remembered."""
        packed = self._accepted.get(correlation_id)
        if packed is None:
            packed = self._heard.get(correlation_id)
        return None if packed is None else Money.unpacked(packed & MONEY)

    def levels(self) -> tuple[Level, Level]:
        """Tell how many ids are remembered: those that were accepted or decided, and those that were heard of."""
        return Level(len(self._accepted), self._size_max), Level(len(self._heard), self._size_max)

    @staticmethod
    def _contest(memory: KnownIds, correlation_id: UUID, packed: int) -> None:
        """Mark what is remembered of an id where it differs from this amount and nobody has decided."""
        known = memory.get(correlation_id)
        if known is not None and not known & DECIDED and known & MONEY != packed:
            memory.remember(correlation_id, known | CONTESTED)
