"""A payment processor that behaves as those of the event do, and injects faults on request."""
