"""The policies that Fiel's is compared with."""

from dataclasses import replace

from actors.domain.life import Life

from ops.benchmarks.gateway import PROCESSORS, Policy

DEFAULT, FALLBACK = (processor.name for processor in PROCESSORS)
TRIES = 3


def fallback_at_once(fiel: Policy) -> Policy:
    """Make the one that waits for nothing: while default's breaker is not closed all goes to fallback."""
    return replace(fiel, name="fallback at once", patience=replace(fiel.patience, outage_s=0.0))


def default_only() -> Policy:
    """Make the one that tries default for ever, without a breaker or a limit of its own."""
    return Policy("default only", breaker=None, choose=lambda *_: DEFAULT)


def three_tries() -> Policy:
    """Make the one that tries default three times, then fallback for ever, without a breaker or a limit."""
    return Policy("three tries then fallback", breaker=None, choose=_choose_by_tries)


def _choose_by_tries(life: Life, *_: object) -> str:
    return FALLBACK if life.processor == FALLBACK or life.failures_here >= TRIES else DEFAULT
