"""The actors that carry a payment from its acceptance to its settlement."""

__version__ = "0.1.0"
