"""Metrics of payments: what they wait for, where they go, how they end."""

from collections.abc import Iterable, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from actors.domain.money import Money
from actors.domain.processors import EVERY_CURRENCY, Processor
from actors.messages.persistence import Incidents, WriteStats
from actors.messages.router import RouterStats
from gateway.metrics.families import histogram, label

NO_PROCESSOR = "none"
"""Stands for the processor where there is none."""


def unsettled(stats: RouterStats) -> Iterable[Metric]:
    """Tell what payments wait for, and why they went where they went."""
    waiting = GaugeMetricFamily(
        "fiel_unsettled_payments", "Unsettled payments of this replica, by what they wait for", labels=["waiting_for"]
    )
    for waiting_for, count in stats.unsettled.items():
        waiting.add_metric([waiting_for.replace(" ", "_")], count)
    yield waiting
    yield GaugeMetricFamily(
        "fiel_unresolved_payments",
        "Payments of unknown outcome for over a minute",
        value=stats.unresolved,
    )
    decisions = CounterMetricFamily(
        "fiel_routing_decisions",
        "Decisions to give a payment to a processor, or to let it wait, by reason",
        labels=["processor", "reason"],
    )
    for (processor, reason), count in stats.decisions.items():
        decisions.add_metric([processor or NO_PROCESSOR, label(reason)], count)
    yield decisions


def ended(incidents: Incidents) -> Iterable[Metric]:
    """Tell what an operator has to know of."""
    yield CounterMetricFamily(
        "fiel_disputes", "Charges found for payments that another charge had settled", value=incidents.disputes
    )
    closed = CounterMetricFamily(
        "fiel_payments_closed", "Payments that ended without a charge, by their state", labels=["state"]
    )
    for state, count in incidents.closed.items():
        closed.add_metric([state.value], count)
    yield closed


def written(writes: WriteStats, configured: Sequence[Processor], currency: str) -> Iterable[Metric]:
    """Tell what was committed to Postgres.

    `configured` are the processors, whose fees are known. What they have not charged yet is told as 0, so that the
    first charge is seen as one more: in the currencies that are named for a processor, else in `currency`.
    """
    fees = {each.name: each.fee for each in configured}
    begun = {(each.name, code): (0, 0) for each in configured for code in _named(each, currency)}
    kinds = ["processor", "currency"]
    settled = CounterMetricFamily("fiel_payments_settled", "Payments whose charge is recorded", labels=kinds)
    amounts = CounterMetricFamily(
        "fiel_settled_amount", "Amounts that were charged, in major units of the currency", labels=kinds
    )
    kept = CounterMetricFamily(
        "fiel_settled_fees", "Fees that processors kept of the charged amounts, at the configured rates", labels=kinds
    )
    for (processor, code), (count, amount_minor) in (begun | dict(writes.settled)).items():
        amount = Money(amount_minor, code).decimal
        settled.add_metric([processor, code], count)
        amounts.add_metric([processor, code], float(amount))
        if processor in fees:
            kept.add_metric([processor, code], float(amount * fees[processor]))
    yield from (settled, amounts, kept)
    yield histogram(
        "fiel_payment_settlement_seconds",
        "Time from the acceptance of a payment until its settlement is committed",
        {(): writes.settling},
    )
    moves = CounterMetricFamily(
        "fiel_payment_moves", "Payments that moved to another processor, by the new one", labels=["processor"]
    )
    none_moved: dict[str | None, int] = dict.fromkeys([*(each.name for each in configured if each.charges), None], 0)
    for name, count in (none_moved | dict(writes.moved)).items():
        moves.add_metric([name or NO_PROCESSOR], count)
    yield moves
    yield histogram(
        "fiel_postgres_commit_seconds", "Duration of commits of claims, moves and settlements", {(): writes.commits}
    )


def _named(processor: Processor, currency: str) -> Iterable[str]:
    """Name the currencies of a processor; of one that takes all, or none any more, the default one alone."""
    return (processor.currencies if processor.currencies != EVERY_CURRENCY else None) or (currency,)
