"""A payment processor that behaves as the event's do, with every fault on a switch."""
