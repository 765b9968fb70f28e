"""The settings of the log. They are read before all others, since errors in those are logged."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from actors.errors import SettingsError
from actors.settings import host_name

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class LogFormat(Enum):
    """How lines are written."""

    AUTO = "auto"
    """Readable on a terminal, JSON elsewhere."""
    JSON = "json"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What is logged, and how."""

    replica: str
    """The replica that each line bears."""
    format: LogFormat
    level: str
    """The least important lines that are written, as `logging` names them."""
    access: bool
    """Whether each request is a line."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "LogSettings":
        """Read the variables that `docs/settings.md` lists.

        Raises:
            SettingsError: a variable is malformed; the message names it.
        """
        chosen, level = environment.get("LOG_FORMAT", LogFormat.AUTO.value), environment.get("LOG_LEVEL", "INFO")
        access = environment.get("ACCESS_LOG", "0")
        if chosen not in {each.value for each in LogFormat}:
            raise SettingsError(f"LOG_FORMAT={chosen!r} is not one of {', '.join(each.value for each in LogFormat)}")
        if level.upper() not in LOG_LEVELS:
            raise SettingsError(f"LOG_LEVEL={level!r} is not one of {', '.join(LOG_LEVELS)}")
        if access not in {"", "0", "1"}:
            raise SettingsError(f"ACCESS_LOG={access!r} is neither 0 nor 1")
        return cls(environment.get("REPLICA", host_name()), LogFormat(chosen), level.upper(), access == "1")
