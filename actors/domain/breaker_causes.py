"""Why a breaker changes its state."""

from enum import Enum


class Cause(Enum):
    """Why a breaker changed its state."""

    FAILURE_RATE = "failure rate"
    SLOW_CALL_RATE = "slow-call rate"
    STALLED = "no call ends any more"
    HEALTH_FAILING = "its health answer says failing"
    MISCONFIGURED = "it turns away all that is sent"
    QUORUM = "a quorum of replicas finds it down"
    PROBE_FAILED = "a probe failed"
    PROBE_LATE = "half open for too long"
    COOLED_DOWN = "the cool-down is over"
    HEALTH_WORKING = "its health answer says working"
    PEER_RECOVERED = "another replica got through"
    PROBE_SUCCEEDED = "a probe succeeded"
    OPERATOR = "an operator"


OWN_CAUSES = frozenset(
    {
        Cause.FAILURE_RATE,
        Cause.SLOW_CALL_RATE,
        Cause.STALLED,
        Cause.MISCONFIGURED,
        Cause.PROBE_FAILED,
        Cause.PROBE_LATE,
    }
)
"""Causes of opening that this replica's own calls showed. Only these count towards a quorum."""
