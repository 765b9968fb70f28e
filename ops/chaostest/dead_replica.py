"""A replica that is gone: it has accepted payments, written their claims, and left with its lease over."""

from collections.abc import Iterator
from random import Random
from uuid import UUID

import psycopg

from ops import OpsError
from ops.chaostest.profiles import PROCESSORS
from ops.chaostest.schedule import ScheduledFault
from ops.chaostest.summary_probe import now_ms
from ops.chaostest.workload import DECIMALS, HUGE_UNITS, Attempt, OfferedAmount, OfferedPayment

NO_PROCESSOR_SHARE = 1 / 2
"""Share of the claims that name no processor: their payments were certainly not sent to any."""
CURRENCY = "CLF"
"""It has four decimals, so that the sum of a thousand huge amounts does not fit into 64 bits."""
MINOR_MAX = HUGE_UNITS * 10 ** DECIMALS[CURRENCY]
REPLICA = """
INSERT INTO replica (name, epoch, left_epoch, generation, lease_until, watermark_ms, published_ms)
SELECT %(name)s, 1, 1, generation, '-infinity', %(now_ms)s, %(now_ms)s FROM gateway
"""
PAYMENTS = "COPY payment (correlation_id, amount_cents, currency, accepted_at_ms) FROM STDIN"
CLAIMS = "COPY claim (correlation_id, processor, owner, epoch) FROM STDIN"


class DeadReplica:
    """A fault target that leaves rows of a replica that is not there; to clients, their payments were accepted."""

    name = "dead"

    def __init__(self, database_url: str, seed: int, scale: float) -> None:
        """`scale` is the share of the scheduled rows that is really written."""
        self.offers: list[OfferedPayment] = []
        """The payments of the rows that were left; they have to be settled like all others."""
        self._database_url = database_url
        self._rng = Random(f"{seed} dead replica")  # noqa: S311 - no secret
        self._scale = scale
        self._number = 0

    def begin(self, fault: ScheduledFault) -> None:
        """Write the rows in one transaction, under a new name.

        Raises:
            OpsError: they could not be written.
        """
        self._number += 1
        owner, accepted_at_ms = f"gone-{self._number}", now_ms()
        offers = list(self._draw(max(1, round(fault.parameters["rows"] * self._scale)), accepted_at_ms))
        try:
            with psycopg.connect(self._database_url, connect_timeout=5) as connection, connection.cursor() as cursor:
                cursor.execute(REPLICA, {"name": owner, "now_ms": accepted_at_ms})
                with cursor.copy(PAYMENTS) as rows:
                    for offer in offers:
                        rows.write_row((offer.correlation_id, offer.amount.minor, offer.amount.code, accepted_at_ms))
                with cursor.copy(CLAIMS) as rows:
                    for offer in offers:
                        rows.write_row((offer.correlation_id, self._draw_processor(), owner, 1))
        except psycopg.Error as error:
            raise OpsError(str(error)) from error
        self.offers += offers

    def end(self, _fault: ScheduledFault) -> None:
        """Do nothing: the rows are left for good."""

    def restore(self) -> None:
        """Do nothing: others have to settle what is left."""

    def unexpected_end(self) -> str | None:
        """Return None: there is no process."""
        return None

    def _draw(self, count: int, accepted_at_ms: int) -> Iterator[OfferedPayment]:
        for _ in range(count):
            amount = OfferedAmount(MINOR_MAX - self._rng.randrange(1_000_000), CURRENCY)
            accepted = Attempt(accepted_at_ms, self.name, amount, 202, answered_at_ms=accepted_at_ms)
            yield OfferedPayment(UUID(int=self._rng.getrandbits(128), version=4), amount, attempts=[accepted])

    def _draw_processor(self) -> str | None:
        return None if self._rng.random() < NO_PROCESSOR_SHARE else self._rng.choice(PROCESSORS)
