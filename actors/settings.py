"""The settings of a replica, read once from the environment."""

import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from actors.domain.money import BRL
from actors.domain.processors import ALL_CURRENCIES, PostedCurrencies, Processor, parse_processors, posted_currencies
from actors.domain.routing_policies import POLICIES
from actors.errors import SettingsError

DEFAULT_PROCESSORS = "default=http://localhost:8001,0.05 fallback=http://localhost:8002,0.15"
DEFAULT_ROUTING = "cheapest"
DEFAULT_BIND = "0.0.0.0:9999,[::]:9999"
PORT_MAX = 65535
CALLS_BESIDE = 32
"""The most calls to one processor that may be under way beside its charges: spare ones, look-ups, health checks."""
ADMIN_TOKEN_CHARS_MIN = 16
"""A token of this length cannot be guessed, however often somebody tries."""


class Durability(Enum):
    """What a payment that was answered with 2xx survives."""

    FSYNC = "fsync"
    """It survives the loss of power."""
    PROCESS = "process"
    """It survives the death of every process."""
    LEDGER = "ledger"
    """It survives the loss of the replica's host: its row is committed in Postgres."""
    LEDGER_OR_FSYNC = "ledger,fsync"
    """As `LEDGER`; while Postgres is away it survives the loss of power alone, and the answer says so."""

    @property
    def awaits_rows(self) -> bool:
        """Whether clients are answered after the commit of their payments' rows."""
        return self in {Durability.LEDGER, Durability.LEDGER_OR_FSYNC}


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one replica."""

    replica: str
    database_url: str
    redis_url: str
    processors: tuple[Processor, ...]
    journal_dir: Path
    durability: Durability
    allow_purge: bool
    """Whether everybody may purge over HTTP, without a token."""
    allow_force: bool
    """Whether an operator may force breakers over HTTP from this machine, without a token."""
    open_max: int
    """How many payments the journal of this replica may hold. Beyond that, clients get 503."""
    recent_max: int
    """How many ids are remembered with their amounts to answer repeated posts; as many more from other replicas."""
    charge_timeout_s: float
    """Deadline for one whole call to a processor."""
    processor_delay_max_s: float
    """How long after its client has given up a request may still be booked by the processor."""
    in_flight_max: int
    """How many charges of this replica may be under way on one processor."""
    outage_patience_s: float
    """How long payments wait for a cheaper processor that is down, counted from the start of its outage."""
    backlog_patience_s: float
    """Longest backlog, in seconds of work, tolerated on a cheaper processor before a dearer one is used."""
    outage_backlog_s: float = 1.0
    """Longest backlog, in seconds of a dearer processor's work, that waits for a cheaper one that is down."""
    processor_in_flight_max: int = 798
    """How many charges of all replicas together may be under way on one processor; each has an equal share."""
    slow_s: float = 1.5
    """A processor whose calls take at least this long is not used while another one works."""
    routing: str = DEFAULT_ROUTING
    """The policy that chooses a processor for each payment; one of `POLICIES`."""
    currencies: PostedCurrencies = ALL_CURRENCIES
    """Which currencies clients may pay in."""
    settle_s: float = 1.0
    """How long a replica that ends lets accepted payments be settled as usual, before it stops charging."""
    allow_resolve: bool = True
    """Whether an operator may resolve payments over HTTP from this machine, without a token."""
    admin_token: str = field(default="", repr=False)
    """The token with which requests from anywhere may do what is for operators; empty: there is none."""
    controls_url: str = ""
    """Address of a server of `ops/up` by which the live page offers a load and disturbs processors; empty: none."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the variables that `docs/settings.md` lists.

        Raises:
            SettingsError: a variable is missing or malformed; the message names it.
        """
        processors = parse_processors(environment.get("PROCESSORS", DEFAULT_PROCESSORS))
        return cls(
            replica=_name(environment.get("REPLICA", host_name())),
            database_url=_required(environment, "DATABASE_URL"),
            redis_url=_required(environment, "REDIS_URL"),
            processors=processors,
            journal_dir=journal_dir(environment),
            durability=_durability(environment.get("DURABILITY", Durability.FSYNC.value)),
            allow_purge=_flag(environment, "ALLOW_PURGE"),
            allow_force=_flag(environment, "ALLOW_FORCE"),
            open_max=_int(environment, "OPEN_MAX", 1_000_000),
            recent_max=_int(environment, "RECENT_MAX", 65_536),
            charge_timeout_s=_int(environment, "CHARGE_TIMEOUT_MS", 10_000) / 1000,
            processor_delay_max_s=_int(environment, "PROCESSOR_DELAY_MAX_MS", 15_000) / 1000,
            in_flight_max=_in_flight_max(environment),
            processor_in_flight_max=_int(environment, "PROCESSOR_IN_FLIGHT_MAX", 798),
            outage_patience_s=_int(environment, "OUTAGE_PATIENCE_MS", 11_000, least=0) / 1000,
            backlog_patience_s=_int(environment, "BACKLOG_PATIENCE_MS", 5_000, least=0) / 1000,
            outage_backlog_s=_int(environment, "OUTAGE_BACKLOG_MS", 1_000, least=0) / 1000,
            slow_s=_int(environment, "SLOW_MS", 1_500) / 1000,
            routing=_routing(environment.get("ROUTING", DEFAULT_ROUTING)),
            currencies=posted_currencies(environment.get("CURRENCY", BRL), processors),
            settle_s=settle_s(environment),
            allow_resolve=_flag(environment, "ALLOW_RESOLVE", default="1"),
            admin_token=_admin_token(environment.get("ADMIN_TOKEN", "")),
            controls_url=environment.get("CONTROLS_URL", ""),
        )


def host_name() -> str:
    """Give the name of this host, with - for each character that a replica's name may not hold."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", platform.node())


def journal_dir(environment: Mapping[str, str]) -> Path:
    """Read where the journals are."""
    return Path(environment.get("JOURNAL_DIR", "var/journal"))


def _required(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise SettingsError(f"{name} is not set")
    return value


def bind_addresses(environment: Mapping[str, str]) -> list[str]:
    """Read from `BIND` where to listen.

    Raises:
        SettingsError: it is malformed.
    """
    addresses = environment.get("BIND", DEFAULT_BIND).split(",")
    for address in addresses:
        host, _, port = address.rpartition(":")
        is_host = host.startswith("[") == host.endswith("]") and (":" not in host or host.startswith("["))
        if not (host and is_host and port.isdecimal() and 0 < int(port) <= PORT_MAX):
            raise SettingsError(f"BIND: {address!r} is not host:port with a port from 1 to {PORT_MAX}")
    return addresses


def calls_max(environment: Mapping[str, str]) -> int:
    """Read how many calls may be under way at once, to all processors together.

    Raises:
        SettingsError: a variable is malformed.
    """
    processors = parse_processors(environment.get("PROCESSORS", DEFAULT_PROCESSORS))
    return len(processors) * (_in_flight_max(environment) + CALLS_BESIDE)


def _in_flight_max(environment: Mapping[str, str]) -> int:
    return _int(environment, "IN_FLIGHT_MAX", 266)


def lame_duck_s(environment: Mapping[str, str]) -> float:
    """Read from `LAME_DUCK_MS` how long a replica serves on after SIGTERM.

    Raises:
        SettingsError: it is malformed.
    """
    return _int(environment, "LAME_DUCK_MS", 0, least=0) / 1000


def settle_s(environment: Mapping[str, str]) -> float:
    """Read from `SETTLE_MS` how long a replica that ends lets accepted payments be settled as usual.

    Raises:
        SettingsError: it is malformed.
    """
    return _int(environment, "SETTLE_MS", 1_000, least=0) / 1000


def _admin_token(value: str) -> str:
    is_good = len(value) >= ADMIN_TOKEN_CHARS_MIN and re.fullmatch(r"[!-~]+", value)
    if value and not is_good:
        # The value is a secret, whatever is wrong with it.
        raise SettingsError(
            f"ADMIN_TOKEN must have at least {ADMIN_TOKEN_CHARS_MIN} printable ASCII characters and no space"
        )
    return value


def _name(value: str) -> str:
    if not value.replace("-", "").replace("_", "").isalnum():
        raise SettingsError(f"REPLICA={value!r} may only contain letters, digits, - and _")
    return value


def _durability(value: str) -> Durability:
    try:
        return Durability(value)
    except ValueError:
        known = ", ".join(repr(each.value) for each in Durability)
        raise SettingsError(f"DURABILITY={value!r} is not one of {known}") from None


def _routing(value: str) -> str:
    if value not in POLICIES:
        raise SettingsError(f"ROUTING={value!r} is none of {', '.join(map(repr, POLICIES))}")
    return value


def _flag(environment: Mapping[str, str], name: str, default: str = "0") -> bool:
    value = environment.get(name, default)
    if value not in {"", "0", "1"}:
        raise SettingsError(f"{name}={value!r} is neither 0 nor 1")
    return value == "1"


def _int(environment: Mapping[str, str], name: str, default: int, least: int = 1) -> int:
    value = environment.get(name, str(default))
    if not value.isdecimal() or int(value) < least:
        raise SettingsError(f"{name}={value!r} is not a whole number of at least {least}")
    return int(value)
