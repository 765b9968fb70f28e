"""The actors that carry a payment from its acceptance to its settlement."""
