"""The places where a chaos run reads what Postgres and the processors hold."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RecordSources:
    """The addresses at which the records of a run are read, whatever it runs on."""

    database_url: str
    """The URL of the Postgres that accepts writes."""
    administrations: Mapping[str, str]
    """The addresses of the simulated processors' administrations, by the processors' names."""
