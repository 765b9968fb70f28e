"""Programs that use the gateway from outside, to be copied and changed."""
