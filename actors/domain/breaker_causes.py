"""Why a breaker changes its state."""

from enum import Enum


class Cause(Enum):
    """Why a breaker changed its state."""

    FAILURE_RATE = "failure rate"
    SLOW_CALL_RATE = "slow-call rate"
    STALLED = "calls no longer end"
    HEALTH_FAILING = "its health endpoint says that it fails"
    MISCONFIGURED = "it turns away all requests"
    QUORUM = "a quorum of replicas found it down"
    PROBE_FAILED = "a probe failed"
    PROBE_LATE = "no probe ended in time"
    COOLED_DOWN = "the cool-down is over"
    HEALTH_WORKING = "its health endpoint says that it works"
    PEER_RECOVERED = "another replica's probe succeeded"
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
