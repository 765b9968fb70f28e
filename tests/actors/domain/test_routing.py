"""A policy that only says which processor is chosen is a whole policy."""

from collections.abc import Sequence
from random import Random

from actors.domain.breaker import BreakerState
from actors.domain.dispatcher import Dispatcher
from actors.domain.patience import Patience
from actors.domain.processor_view import Availability
from actors.domain.processors import Processor
from actors.domain.retries import RetryLimits
from actors.domain.routing import Choice, Reason, Routes
from tests.actors.domain.dispatching import NOW_MS, PROCESSORS, payments

NOW_S = 1000.0


class FirstWithRoom(Routes):
    """Waits for nobody who is down."""

    def choose(
        self,
        takers: Sequence[Processor],
        *,
        waiting: int,  # noqa: ARG002  # as in the product
        spent: str | None,  # noqa: ARG002  # the same
        now_s: float,  # noqa: ARG002  # the same
    ) -> Choice:
        name = next((each.name for each in takers if self.views[each.name].has_room), None)
        return Choice(name, Reason.WAIT_FOR_ANY if name is None else Reason.CHEAPEST)


def test_payments_go_where_it_says_and_wait_for_nothing_else() -> None:
    routes = FirstWithRoom(PROCESSORS, Patience())
    dispatcher = Dispatcher(routes, RetryLimits(), Random(1))
    dispatcher.availability_changed(Availability("fallback", BreakerState.CLOSED, 1, 100.0, None), NOW_S)
    dispatcher.availability_changed(Availability("default", BreakerState.OPEN, 0, 100.0, NOW_S), NOW_S)
    dispatcher.accepted(payments(1, 2), 0, NOW_S)
    assert [claim.processor for claim in dispatcher.decide(NOW_S, NOW_MS).claims] == ["fallback"]
    assert routes.decisions == {("fallback", Reason.CHEAPEST): 1, (None, Reason.WAIT_FOR_ANY): 1}
    assert dispatcher.wakes_at_s(NOW_S) is None
    assert (routes.is_waited_for("default", NOW_S), routes.waited_for_s(NOW_S)) == (False, {})
    assert routes.is_spent("default", 1, NOW_S)
