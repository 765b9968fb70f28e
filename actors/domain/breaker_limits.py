"""The numbers that an operator of a circuit breaker chooses, with their defaults."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BreakerLimits:
    """When a breaker opens, and for how long."""

    window_s: float = 1.0
    """Calls that ended longer ago are ignored, as long as `calls_min` later ones are left."""
    window_s_max: float = 15.0
    """Calls that ended longer ago are always ignored."""
    calls_min: int = 20
    """With fewer calls in the window, no rate opens the breaker."""
    failure_rate_max: float = 0.7
    """The breaker opens when the share of failed calls reaches this."""
    slow_call_s: float = 8.0
    """A call that takes at least this long is slow. A slow probe counts as failed."""
    slow_call_rate_max: float = 0.9
    """The breaker opens when the share of slow calls reaches this."""
    stall_s: float = 1.5
    """The breaker opens if at least `calls_min` calls are under way and none has ended for this long."""
    stall_latencies: float = 4.0
    """Like `stall_s`, as a multiple of the usual latency; the larger applies."""
    cooldown_s_initial: float = 0.1
    """Length of an outage's first cool-down. Each failed probe doubles it, up to `cooldown_s_max`."""
    cooldown_s_max: float = 0.6
    cooldown_jitter: float = 0.25
    """Each cool-down is longer or shorter by a random share up to this, so that replicas do not probe in step."""
    probes_max: int = 1
    """Probes under way at once in one half-open period. Probes that still hang from an earlier period do not count."""
    half_open_s_max: float = 0.5
    """A half-open breaker opens again this long after its first probe, so that a hanging probe cannot block it."""
    recovery_s: float = 2.0
    """An outage is over when the breaker has been closed for this long; if it opens earlier, the outage goes on."""
    certain_s: float = 2.0
    """How long an outage is assumed to go on after the processor was last found down, if nothing says otherwise: longer
    than from one failed probe to the next. After that payments wait for a probe's outcome, see `Patience.probe_s`."""
