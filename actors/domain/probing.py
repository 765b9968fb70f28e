"""Decides when a processor that was down may be probed: once it accepts a connection and the budget grants a probe.

A *knock* finds out whether the processor accepts a connection. It is pure: events and the time go in, wishes come out.
"""

PROBE_PAUSE_S = 0.1
"""How long to wait before asking again where the budget of probes, which all replicas share, is used up."""
KNOCK_PAUSE_S = 0.25
"""How long to wait before knocking again where the processor has accepted no connection."""


class Probing:
    """The steps towards a probe of one processor. `now_s` is monotonic time and never runs backwards."""

    def __init__(self) -> None:
        self.accepts = False
        """Whether the processor has accepted a connection since the breaker last changed."""
        self._knocking = False
        self._knock_again_at_s: float | None = None
        self._asked = False
        """Whether the budget was asked for a probe and has granted none yet."""
        self._granted = False
        self._ask_again_at_s: float | None = None

    def begin(self) -> None:
        """Forget what was found out before the breaker changed."""
        self.accepts = self._granted = False
        self._knock_again_at_s = None

    def wants_knock(self, now_s: float) -> bool:
        """Tell whether to find out now if the half-open processor accepts a connection; true once for each knock."""
        is_due = self._knock_again_at_s is None or now_s >= self._knock_again_at_s
        if self.accepts or self._knocking or not is_due:
            return False
        self._knocking, self._knock_again_at_s = True, None
        return True

    def knocked(self, *, accepted: bool, is_probing: bool, now_s: float) -> None:
        """Record whether the processor has just accepted a connection; this is ignored unless it is being probed."""
        self._knocking = False
        if is_probing:
            self.accepts = accepted
            self._knock_again_at_s = None if accepted else now_s + KNOCK_PAUSE_S

    def wants_probe(self) -> bool:
        """Tell whether to ask the budget for a probe; true once until it has answered."""
        wanted, self._asked = not self._asked, True
        return wanted

    def answered(self, *, granted: bool, now_s: float) -> None:
        """Record whether the budget has granted this replica a probe."""
        if granted:
            self._asked, self._granted = False, True
        else:
            self._ask_again_at_s = now_s + PROBE_PAUSE_S

    def hurry(self) -> None:
        """Allow a probe at once that costs no budget, because the processor is known to work again."""
        self._granted, self._knock_again_at_s = True, None

    def take_grant(self) -> bool:
        """Use up the probe that was granted, if there is one."""
        granted, self._granted = self._granted, False
        return granted

    def elapse(self, now_s: float) -> None:
        """Let the pause after a refusal of the budget end, if it is over by now."""
        if self._ask_again_at_s is not None and now_s >= self._ask_again_at_s:
            self._asked, self._ask_again_at_s = False, None

    @property
    def changes_at_s(self) -> float | None:
        """When time alone ends a pause; None where it ends none."""
        ends_s = (self._knock_again_at_s, self._ask_again_at_s)
        return min((end_s for end_s in ends_s if end_s is not None), default=None)
