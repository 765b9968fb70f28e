"""The load that `ops/load` puts on a gateway: the event's two games and others, with their checks and their score."""
