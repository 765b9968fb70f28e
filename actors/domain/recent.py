"""The payments that a replica has seen lately, so that a repeated post is answered without asking Postgres."""

from collections import OrderedDict
from uuid import UUID


class RecentPayments:
    """Amounts by id, forgetting the oldest beyond `size_max`."""

    def __init__(self, size_max: int) -> None:
        self._size_max = size_max
        self._amounts_cents: OrderedDict[UUID, int] = OrderedDict()

    def amount_cents(self, correlation_id: UUID) -> int | None:
        """Tell the amount that this id was first seen with; None where it is not known."""
        return self._amounts_cents.get(correlation_id)

    def remember(self, correlation_id: UUID, amount_cents: int) -> None:
        """Keep the amount of an id that was not known."""
        self._amounts_cents[correlation_id] = amount_cents
        if len(self._amounts_cents) > self._size_max:
            self._amounts_cents.popitem(last=False)

    def forget(self, correlation_id: UUID) -> None:
        """Drop an id that was not kept after all."""
        self._amounts_cents.pop(correlation_id, None)
