"""Decides how long payments wait for a cheaper processor, and how many of them may, by the fees that waiting saves."""

from dataclasses import dataclass
from math import inf

from actors.domain.processor_view import USUAL_SAVING, ProcessorView


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a cheaper processor is waited for; chosen by simulation, see `docs/decisions/0002-routing.md`.

    Times of waiting in an outage hold for fees that differ by `USUAL_SAVING`. They grow and shrink in proportion to the
    difference.
    """

    outage_s: float = 11.0
    """How long an outage is waited out, from its start; then payments go to a dearer processor."""
    backlog_s: float = 5.0
    """Payments wait for a processor that works as long as it can charge all that wait within this time."""
    outage_backlog_s: float = 1.0
    """As many payments may wait for a processor that is down as a dearer one can charge within this time. Those beyond
    that go to the dearer one, the oldest first."""
    probe_s: float = 5.0
    """How long the outcome of a probe is waited for, where the outage is old but may be over. No longer than
    `outage_s`."""
    return_s: float = 0.5
    """How long a cheaper processor is waited for after the outage of a dearer one has ended, since both often come back
    together. Up to `probe_s` while no later call has found the cheaper one down."""
    retries_max: int = 3
    """How many times a payment is tried again on a processor that works, before it goes to another one that works."""

    def outage_ends_s(self, view: ProcessorView) -> float:
        """Tell until when an outage is waited out; for ever where there is none."""
        return inf if view.down_since_s is None else view.down_since_s + self.outage_s * _weight(view)

    def outage_backlog_max(self, view: ProcessorView, dearer: ProcessorView) -> float:
        """Tell how many may wait for one that is down, after the first: none if the dearer one may be down too."""
        return dearer.capacity_per_s * self.outage_backlog_s * _weight(view) if dearer.state.is_closed else 0

    def probe_s_max(self, view: ProcessorView) -> float:
        """Tell how long a payment may wait for the outcome of a probe."""
        return min(self.probe_s, self.outage_s) * _weight(view)

    @property
    def return_s_max(self) -> float:
        """How long a payment may wait for cheaper ones that nobody has tried since a dearer one came back."""
        return max(self.return_s, min(self.probe_s, self.outage_s))


def _weight(view: ProcessorView) -> float:
    """Tell how much more waiting for a processor saves than usual."""
    return view.saving / USUAL_SAVING
