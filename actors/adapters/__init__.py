"""Adapters fulfil what actors need of the outside world. Errors of libraries become Fiel's own here."""

from actors.lean_imports import importing_without

with importing_without("opentelemetry"):
    # redis-py would import it for metrics of its own, three megabytes that nobody asks for.
    import redis  # noqa: F401
