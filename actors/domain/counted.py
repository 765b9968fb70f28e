"""What actors count for `/metrics` alone."""

from enum import Enum


class Counted(Enum):
    """What has happened: the actor that sees it happen counts it in `Actor.counts`, and `/metrics` reports the sum.

    Counts begin anew when the actors do.
    """

    FAILED_COMMIT = "fiel_postgres_commit_failures", "Commits that failed and were tried again"

    def __init__(self, metric: str, text: str) -> None:
        self.metric = metric
        """The name of the metric, without the `_total` that the format adds."""
        self.text = text
        """The help text of the metric."""
