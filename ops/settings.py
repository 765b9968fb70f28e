"""What `ops/up` is asked for, and the checks that hold before it starts anything."""

import argparse
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from actors.domain.processors import Processor, parse_processors
from actors.errors import SettingsError
from ops import OpsError
from ops.embedded import redis_error
from ops.process import ROOT

REPLICAS_MAX = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One stack: where it listens and keeps its state, and which parts others provide."""

    port: int = 9999
    """Shared by all replicas; replica N also answers on `port` + N of the loopback address."""
    replicas: int = 3
    state_dir: Path = ROOT / "var"
    fresh: bool = False
    """Forget what an earlier start left in `state_dir`."""
    database_url: str | None = None
    """A PostgreSQL to use; None starts an embedded one. The same holds of the two below."""
    redis_url: str | None = None
    processors: str | None = None
    """As in `parse_processors`."""
    processor_ports: tuple[int, int] = (8001, 8002)
    admin_ports: tuple[int, int] = (9001, 9002)
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    """The variables that every part starts with."""
    application: str = "gateway.main:application()"
    """What gunicorn serves in each replica; a test may put parts of its own into it."""

    @property
    def replica_ports(self) -> tuple[int, ...]:
        """The loopback port of each replica."""
        return tuple(self.port + number for number in range(1, self.replicas + 1))


def parse_settings(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Read the command line and the variables of `ops/up`; an empty variable counts as unset."""
    parser = argparse.ArgumentParser(
        prog="ops/up",
        description="Start the gateway: PostgreSQL, Redis, two simulated payment processors, replicas.",
        epilog="DATABASE_URL, REDIS_URL and PROCESSORS (name=url,fee ...) replace the embedded parts.",
    )
    parser.add_argument("--port", type=int, default=9999, help="default: 9999; replica N also has PORT + N")
    parser.add_argument("--replicas", type=int, default=3, help="default: 3")
    parser.add_argument("--fresh", action="store_true", help="forget the payments of earlier starts")
    parser.add_argument("--state-dir", type=Path, default=ROOT / "var", help="default: var/ of the checkout")
    parser.add_argument("--processor-ports", type=_two_ports, default=(8001, 8002), metavar="A,B")
    parser.add_argument("--admin-ports", type=_two_ports, default=(9001, 9002), metavar="A,B")
    given = parser.parse_args(arguments)
    if not 1 <= given.replicas <= REPLICAS_MAX:
        parser.error(f"--replicas is 1 to {REPLICAS_MAX}")
    return Settings(
        port=given.port,
        replicas=given.replicas,
        state_dir=given.state_dir.absolute(),
        fresh=given.fresh,
        database_url=environment.get("DATABASE_URL") or None,
        redis_url=environment.get("REDIS_URL") or None,
        processors=environment.get("PROCESSORS") or None,
        processor_ports=given.processor_ports,
        admin_ports=given.admin_ports,
        environment=dict(environment),
    )


def check_settings(settings: Settings) -> tuple[Processor, ...]:
    """Return the processors where all that is needed is there and free.

    Raises:
        OpsError: the first thing that is not.
    """
    processors = _processors(settings)
    check_ports(settings)
    if settings.database_url is not None:
        _check_database(settings.database_url)
    if settings.redis_url is not None:
        fault = redis_error(settings.redis_url)
        if fault is not None:
            raise OpsError(f"cannot reach REDIS_URL ({fault}): start that Redis, or unset it for an embedded one")
    return processors


def check_ports(settings: Settings) -> None:
    """Do nothing where every port is free.

    Raises:
        OpsError: it names the first that is not, and the option that changes it.
    """
    wanted = [("0.0.0.0", settings.port, "--port")]  # noqa: S104 - what a gateway is for
    wanted += [("127.0.0.1", port, "--port") for port in settings.replica_ports]
    if settings.processors is None:
        wanted += [("127.0.0.1", port, "--processor-ports") for port in settings.processor_ports]
        wanted += [("127.0.0.1", port, "--admin-ports") for port in settings.admin_ports]
    for host, port, option in wanted:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            # Connections that are just ending don't count; a listener does, also one with SO_REUSEPORT.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except (OSError, OverflowError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                raise OpsError(
                    f"port {port} is not free ({reason}): stop what listens there, or choose another with {option}"
                ) from error


def _processors(settings: Settings) -> tuple[Processor, ...]:
    default, fallback = settings.processor_ports
    simulated = f"default=http://127.0.0.1:{default},0.05 fallback=http://127.0.0.1:{fallback},0.15"
    try:
        return parse_processors(simulated if settings.processors is None else settings.processors)
    except SettingsError as error:
        raise OpsError(str(error)) from error


def _check_database(url: str) -> None:
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.Error as error:
        fault = " ".join(str(error).split())
        raise OpsError(
            f"cannot reach DATABASE_URL ({fault}): start that PostgreSQL, or unset it for an embedded one"
        ) from error


def _two_ports(text: str) -> tuple[int, int]:
    first, second = text.split(",")
    return int(first), int(second)
