"""A payment processor that behaves like those of the event, and injects faults on request."""
