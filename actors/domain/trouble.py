"""Remembers what keeps a part of the replica from its work, and since when."""


class Trouble:
    """Remembers one kind of failure from its first occurrence until a success."""

    def __init__(self, kind: str) -> None:
        """`kind` says in words what fails; the time and the reason follow it."""
        self._kind = kind
        self._since_s: float | None = None
        self._reason = ""

    def failed(self, reason: object, now_s: float) -> bool:
        """Note a failure and its reason; return whether it is the first one."""
        is_first = self._since_s is None
        if is_first:
            self._since_s = now_s
        self._reason = str(reason)
        return is_first

    def succeeded(self) -> bool:
        """Note that it works; return whether it failed before."""
        had_failed, self._since_s = self._since_s is not None, None
        return had_failed

    def describe(self, now_s: float) -> str | None:
        """Tell what fails, for how long, and why; None where nothing does."""
        return None if self._since_s is None else f"{self._kind} for {now_s - self._since_s:.0f} s: {self._reason}"
