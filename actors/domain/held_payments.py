"""The payments that are free to go to any processor that takes them, and that none has room for yet."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from actors.domain.lifecycle import Lifecycle
from actors.domain.processors import Processor
from actors.domain.routing import Reason


@dataclass(slots=True, eq=False)
class HeldQueue:
    """Payments that the same processors take, in the order of their arrival."""

    takers: tuple[Processor, ...]
    """The processors that take them, the cheapest first."""
    lives: deque[Lifecycle] = field(default_factory=deque)
    named: dict[Lifecycle, None] = field(default_factory=dict)
    """The payments whose rows name a processor."""
    counted: int = 0
    """How many payments at the head are already counted as waiting."""
    adopted: int = 0
    """How many of the payments come from rows."""
    waits_because: Reason = Reason.WAIT_FOR_ROOM
    """Why the payment at the head last had to wait."""

    @property
    def head_accepted_at_ms(self) -> int:
        """When the payment at the head was accepted; the queue must not be empty."""
        return self.lives[0].payment.accepted_at_ms

    def add(self, life: Lifecycle, *, first: bool) -> None:
        """Put a payment at the end, or at the head."""
        (self.lives.appendleft if first else self.lives.append)(life)
        self.adopted += life.is_adopted
        if life.row is not None:
            self.named[life] = None

    def take(self) -> Lifecycle:
        """Take out the payment at the head."""
        self.counted = max(0, self.counted - 1)
        life = self.lives.popleft()
        self.adopted -= life.is_adopted
        if life.row is not None:
            del self.named[life]
        return life

    def take_named(self) -> list[Lifecycle]:
        """Take out all payments whose rows name a processor, in their order."""
        taken = [life for life in self.lives if life in self.named]
        self.lives = deque(life for life in self.lives if life not in self.named)
        self.named = {}
        self.adopted -= sum(life.is_adopted for life in taken)
        self.counted = min(self.counted, len(self.lives))
        return taken

    def count_waiting(self) -> int:
        """Count the payments that are waiting and were not counted before."""
        uncounted = len(self.lives) - self.counted
        self.counted = len(self.lives)
        return uncounted


class HeldPayments:
    """Queues, one for all payments that the same processors take, so that none waits for processors of another queue.

    A processor takes a payment if it takes its currency and has not declined it.
    """

    def __init__(self, cheapest_first: Sequence[Processor]) -> None:
        """`cheapest_first` are all processors."""
        self._cheapest_first = tuple(cheapest_first)
        self._queue_of_all = HeldQueue(self._cheapest_first)
        self._queues = {self._cheapest_first: self._queue_of_all}
        self._by_kind: dict[tuple[str, frozenset[str]], HeldQueue] = {}
        """The queue of each kind of payment: its currency, and the processors that have declined it."""

    def __len__(self) -> int:
        """Count the payments in all queues."""
        return sum(len(queue.lives) for queue in self._queues.values())

    @property
    def restricted(self) -> int:
        """How many payments from the journal are not taken by every processor."""
        return sum(
            len(queue.lives) - queue.adopted for queue in self._queues.values() if queue is not self._queue_of_all
        )

    def add(self, life: Lifecycle, *, first: bool = False) -> None:
        """Put a payment at the end of its queue, or at its head."""
        self._queue(life).add(life, first=first)

    def remove(self, life: Lifecycle) -> None:
        """Take a payment out of its queue, wherever it stands."""
        queue = self._queue(life)
        queue.lives.remove(life)
        queue.adopted -= life.is_adopted
        queue.named.pop(life, None)
        queue.counted = min(queue.counted, len(queue.lives))

    def release(self, is_released: Callable[[HeldQueue], bool]) -> None:
        """Offer the head of each queue until it is empty or its head has to wait, the oldest payment first.

        `is_released` takes the head out of its queue, or returns False.
        """
        queues = [queue for queue in self._queues.values() if queue.lives]
        while queues:
            queue = queues[0] if len(queues) == 1 else min(queues, key=lambda each: each.head_accepted_at_ms)
            if not is_released(queue) or not queue.lives:
                queues.remove(queue)

    def takers(self, life: Lifecycle) -> tuple[Processor, ...]:
        """Tell which processors take a payment, the cheapest first."""
        return self._queue(life).takers

    def waits_because(self, life: Lifecycle) -> str:
        """Say why payments that the same processors take have to wait."""
        return self._queue(life).waits_because.value

    def _queue(self, life: Lifecycle) -> HeldQueue:
        currency, declined_by = kind = life.payment.currency, life.declined_by
        queue = self._by_kind.get(kind)
        if queue is None:
            takers = tuple(
                each for each in self._cheapest_first if currency in each.currencies and each.name not in declined_by
            )
            queue = self._queues.setdefault(takers, HeldQueue(takers))
            self._by_kind[kind] = queue
        return queue
