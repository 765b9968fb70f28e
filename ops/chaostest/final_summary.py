"""Asks for the summary that a replica gives at rest."""

from collections.abc import Callable

from ops import OpsError
from ops.chaostest.client import NoAnswerError, open_connection
from ops.chaostest.summary_probe import SummaryAnswer, ask_summary, now_ms

SUMMARY_TRIES_MAX = 20
TRY_STEP_S = 0.1


def ask_final_summary(url: str, wait: Callable[[float], None], *, may_stay_open: bool) -> SummaryAnswer:
    """Ask a replica for all that was charged until a moment ago, again until it says that it is final.

    Args:
        url: the address of the replica.
        wait: lets some seconds pass.
        may_stay_open: whether to ask only once, because a processor is gone and no summary may ever be final.

    Raises:
        OpsError: the replica does not answer.
    """
    answer: SummaryAnswer | None = None
    with open_connection(url) as connection:
        for _ in range(SUMMARY_TRIES_MAX):
            try:
                answer = ask_summary(connection, None, now_ms() - 1)
            except NoAnswerError as error:
                raise OpsError(f"{url} gives no summary at rest: {error}") from error
            if answer.final or may_stay_open:
                return answer
            wait(TRY_STEP_S)
    if answer is None:
        raise OpsError(f"{url} was not asked")
    return answer
