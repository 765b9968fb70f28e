"""The policies by which a processor is chosen; the setting `ROUTING` names one of them."""

from collections.abc import Callable, Mapping, Sequence
from math import inf

from actors.domain.breaker import BreakerState
from actors.domain.patience import Patience
from actors.domain.processor_view import ProcessorView
from actors.domain.processors import Processor
from actors.domain.routing import Choice, Reason, Routes

AWAY = (Reason.OUTAGE, Reason.SLOW)
"""Reasons to pass a processor that may come back at any moment."""


class CheapestFirst(Routes):
    """Chooses the cheapest processor that works, or that is worth waiting for.

    Waiting costs nothing but time; a dearer processor costs a multiple of the fee.
    """

    def choose(self, takers: Sequence[Processor], *, waiting: int, spent: str | None, now_s: float) -> Choice:
        """Choose as `choose_cheapest` says."""
        return choose_cheapest(takers, self.views, waiting=waiting, spent=spent, now_s=now_s, patience=self._patience)

    def patience_ends_s(self, processor: str) -> tuple[float, float]:
        """Tell when payments may stop waiting for this processor or, where it has just come back, for cheaper ones."""
        view, patience = self.views[processor], self._patience
        if view.down_since_s is None:
            return view.up_since_s + patience.return_s, view.up_since_s + patience.return_s_max
        return patience.outage_ends_s(view), view.awaited_until_s


POLICIES: Mapping[str, Callable[[Sequence[Processor], Patience], Routes]] = {"cheapest": CheapestFirst}
"""Makes the routes of each policy, by its name in `ROUTING`."""


def choose_cheapest(
    cheapest_first: Sequence[Processor],
    views: Mapping[str, ProcessorView],
    *,
    waiting: int,
    spent: str | None,
    now_s: float,
    patience: Patience,
) -> Choice:
    """Choose among the processors that take the currency of a payment, which is free to go to any of them.

    `waiting` is how many others wait for room. `spent` is a processor whose retries this payment has used up: any other
    that works and has room is better. Where it is worth to wait for the outcome of a probe, that wait begins now.
    """
    if spent is not None and (other := _other_than(spent, cheapest_first, views)) is not None:
        return Choice(other, Reason.RETRIES_SPENT)
    slow, passed, found_down_s = _slow_ones(cheapest_first, views), Reason.CHEAPEST, inf
    for number, processor in enumerate(cheapest_first):
        view = views[processor.name]
        if processor in slow:
            verdict = Choice(processor.name, Reason.PROBE) if view.takes_trial(now_s) else Reason.SLOW
        elif passed in AWAY and view.state.is_closed and now_s < _return_ends_s(view, found_down_s, patience):
            verdict = Choice(None, Reason.WAIT_FOR_CHEAPER)
        elif view.has_room:
            verdict = Choice(processor.name, Reason.PROBE if view.state is BreakerState.HALF_OPEN else passed)
        elif slow and slow[0].fee <= processor.fee and not view.state.is_closed:
            verdict = Reason.SLOW
        else:
            dearer = [views[each.name] for each in cheapest_first[number + 1 :]]
            verdict = _wait_or_pass(view, dearer, waiting, now_s, patience)
        if isinstance(verdict, Choice):
            return verdict
        passed = verdict
        if passed is Reason.OUTAGE:
            found_down_s = min(found_down_s, view.found_down_s)
    return _last_resort(cheapest_first, slow, views)


def _other_than(spent: str, processors: Sequence[Processor], views: Mapping[str, ProcessorView]) -> str | None:
    others = (each.name for each in processors if each.name != spent)
    return next((name for name in others if views[name].state.is_closed and views[name].has_room), None)


def _last_resort(
    cheapest_first: Sequence[Processor], slow: Sequence[Processor], views: Mapping[str, ProcessorView]
) -> Choice:
    """Choose a slow one for what others cannot charge in time."""
    with_room = next((each.name for each in slow if views[each.name].has_room), None)
    if with_room is not None:
        return Choice(with_room, Reason.BACKLOG)
    return Choice(None, Reason.WAIT_FOR_ANY if cheapest_first else Reason.WAIT_FOR_CURRENCY)


def _slow_ones(cheapest_first: Sequence[Processor], views: Mapping[str, ProcessorView]) -> Sequence[Processor]:
    """Give the slow ones that a dearer one can stand in for: one that works, or may be probed.

    Where an operator keeps a breaker closed, its processor is used however slow it is.
    """
    slow = [each for each in cheapest_first if (view := views[each.name]).is_slow and view.state is BreakerState.CLOSED]
    if not slow:
        return ()
    stand_ins = [each for each in cheapest_first if each not in slow and _may_stand_in(views[each.name])]
    return [each for each in slow if stand_ins and each.fee <= stand_ins[-1].fee]


def _may_stand_in(view: ProcessorView) -> bool:
    return view.state.is_closed or view.has_room


def _return_ends_s(view: ProcessorView, found_down_s: float, patience: Patience) -> float:
    """Tell how long one that has come back is not used yet.

    All cheaper ones that are waited for were found down at `found_down_s`.
    """
    is_tried = found_down_s >= view.up_since_s
    return view.up_since_s + (patience.return_s if is_tried else patience.return_s_max)


def _wait_or_pass(
    view: ProcessorView, dearer: Sequence[ProcessorView], waiting: int, now_s: float, patience: Patience
) -> Choice | Reason:
    """Wait for a processor without room, or tell why a dearer one is used."""
    if view.state.is_closed:
        can_charge = waiting <= view.capacity_per_s * patience.backlog_s
        return Choice(None, Reason.WAIT_FOR_ROOM) if can_charge else Reason.BACKLOG
    if view.state is BreakerState.FORCED_OPEN:
        return Reason.FORCED
    if view.is_slow:
        return Reason.SLOW
    is_too_much = any(each.has_room and waiting > patience.outage_backlog_max(view, each) for each in dearer)
    if now_s < patience.outage_ends_s(view):
        return Reason.BACKLOG if is_too_much else Choice(None, Reason.WAIT_FOR_RECOVERY)
    is_awaited = not is_too_much and view.is_awaited(now_s, patience.probe_s_max(view))
    return Choice(None, Reason.WAIT_FOR_PROBE) if is_awaited else Reason.OUTAGE
