"""The options of a stack, and the command line that sets them."""

import argparse
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Self

from ops.arguments import PORT_MAX, add_json_option, make_parser, port_number, two_fees, two_ports
from ops.environment import ROOT
from ops.stack.ports import reserve_ports

REPLICAS_MAX = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class StackOptions:
    """Where a stack listens and keeps its state, and which of its services are provided by others."""

    port: int = 9999
    """The port that all replicas share; replica N also listens on `port` + N of the loopback address."""
    replicas: int = 3
    separate_journals: bool = False
    """Whether no replica reaches the journal of another, as on hosts of their own."""
    state_dir: Path = ROOT / "var"
    fresh: bool = False
    """Delete what an earlier start left in `state_dir`."""
    database_url: str | None = None
    """URL of the PostgreSQL server to use; None starts an embedded one."""
    redis_url: str | None = None
    """URL of the Redis server to use; None starts an embedded one."""
    processors: str | None = None
    """The payment processors to use, written as `parse_processors` reads them; None starts two simulated ones."""
    processor_ports: tuple[int, int] = (8001, 8002)
    """The ports at which the simulated processors take payments."""
    fees: tuple[Decimal, Decimal] = (Decimal("0.05"), Decimal("0.15"))
    """The share of each amount that the simulated processors keep, and that replicas reckon with."""
    admin_ports: tuple[int, int] = (9001, 9002)
    """The ports at which the simulated processors can be administered even while they refuse connections."""
    server_ports: tuple[int, int] | None = None
    """Where embedded PostgreSQL and Redis listen on the loopback address too, so that replicas know both, and the
    simulated processors, by the name `localhost`, which has to be looked up; None: on sockets in files alone."""
    controls: bool = False
    """Whether the live page gets controls (see `ops.controls`), and replicas allow breakers to be forced."""
    controls_port: int = 0
    """The port of the controls on the loopback address; 0 takes any free one."""
    templates: Path | None = None
    """A folder of template directories for the embedded PostgreSQL (see `PostgresServer`); None: each has its own."""
    as_json: bool = False
    """Whether `ops/up` tells what happens as lines of JSON."""
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    """The environment variables of replicas and simulated processors."""
    application: str = "gateway.main:application()"
    """What gunicorn serves in each replica; tests name an application with planted faults here."""

    @classmethod
    def on_reserved_ports(cls, state_dir: Path, environment: Mapping[str, str] | None = None) -> Self:
        """Make options for three replicas on ports that this process has reserved; PostgreSQL is made from a template.

        Args:
            state_dir: where the stack keeps its data and logs.
            environment: variables to set in replicas and processors, on top of those of this process.

        Raises:
            OpsError: no ports are free.
        """
        replicas = 3
        ports = reserve_ports(1 + replicas + 4)
        first, second, first_admin, second_admin = ports[1 + replicas :]
        return cls(
            port=ports[0],
            replicas=replicas,
            state_dir=state_dir,
            processor_ports=(first, second),
            admin_ports=(first_admin, second_admin),
            templates=ROOT / "var" / "templates",
            environment={**os.environ, **(environment or {})},
        )

    @property
    def replica_ports(self) -> tuple[int, ...]:
        """The port on the loopback address that belongs to each replica alone."""
        return tuple(self.port + number for number in range(1, self.replicas + 1))


def parse_stack_options(arguments: Sequence[str], environment: Mapping[str, str]) -> StackOptions:
    """Read the command line and the environment variables of `ops/up`; an empty variable counts as not set."""
    parser = make_parser(
        "ops/up",
        "Start the gateway and stay in the foreground: PostgreSQL, Redis, two simulated payment processors, replicas. "
        "Services that end are started again. Ctrl-C or SIGTERM ends all of it in good order.",
        kept="it was ready, and was asked to stop",
        broken="is not used",
        takes="some 3 s until it is ready, half a minute more in a fresh checkout; at most 10 s to stop",
        examples={
            "ops/up": "the gateway on port 9999",
            "ALLOW_PURGE=1 ops/up --fresh": "for ops/load: without the payments of earlier starts",
            "ops/up --json | head -1": "for scripts: waits for the line with the addresses",
        },
        notes="DATABASE_URL, REDIS_URL and PROCESSORS (name=url,fee ...) replace the embedded services. CONTROLS=0 "
        "removes the controls of the live page (load, faults of processors, killing replicas). The lines of --json "
        "are the events ready, stopping and ended. The DATABASE_URL that is printed after `ready` lets ops/replicas, "
        "ops/archive and psql reach the embedded PostgreSQL; one that was given is not repeated.",
    )
    ports = "the port of all replicas; each also has PORT + its number for itself: 10000, 10001, ...; default: 9999"
    parser.add_argument("--port", type=port_number, default=9999, help=ports)
    parser.add_argument("--replicas", type=int, default=3, help="how many run; default: 3")
    parser.add_argument("--separate-journals", action="store_true", help="let no replica reach another's journal")
    parser.add_argument("--fresh", action="store_true", help="delete the payments of earlier starts")
    state = "where data and logs are kept; default: var/ of the checkout"
    parser.add_argument("--state-dir", type=Path, default=ROOT / "var", help=state)
    for name, read, default, what in (
        ("--processor-ports", two_ports, "8001,8002", "where the simulated processors take payments"),
        ("--admin-ports", two_ports, "9001,9002", "where they are administered even while they refuse connections"),
        ("--fees", two_fees, "0.05,0.15", "the share of each amount that they keep"),
    ):
        parser.add_argument(name, type=read, default=default, metavar="A,B", help=f"{what}; default: {default}")
    add_json_option(parser, "each event as one line of JSON")
    given = parser.parse_args(arguments)
    if not 1 <= given.replicas <= REPLICAS_MAX:
        parser.error(f"--replicas is 1 to {REPLICAS_MAX}")
    if given.port + given.replicas > PORT_MAX:
        parser.error(f"--port leaves no ports for {given.replicas} replicas: it is at most {PORT_MAX - given.replicas}")
    controls, controls_port = _read_controls(parser, environment)
    own = range(given.port, given.port + given.replicas + 1)
    simulated = () if environment.get("PROCESSORS") else (*given.processor_ports, *given.admin_ports)
    named = Counter((*own, *simulated, *filter(None, (controls_port,))))
    repeated = sorted(port for port, count in named.items() if count > 1)
    if repeated:
        parser.error(
            f"port {repeated[0]} is given twice, in --port and its replicas, --processor-ports, --admin-ports or "
            "CONTROLS_PORT"
        )
    return StackOptions(
        port=given.port,
        replicas=given.replicas,
        separate_journals=given.separate_journals,
        state_dir=given.state_dir.absolute(),
        fresh=given.fresh,
        database_url=environment.get("DATABASE_URL") or None,
        redis_url=environment.get("REDIS_URL") or None,
        processors=environment.get("PROCESSORS") or None,
        processor_ports=given.processor_ports,
        admin_ports=given.admin_ports,
        fees=given.fees,
        controls=controls,
        controls_port=controls_port,
        as_json=given.json,
        environment=dict(environment),
    )


def _read_controls(parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> tuple[bool, int]:
    """Read whether there are controls, and their port, which is 0 for any."""
    controls, port = environment.get("CONTROLS") or "1", environment.get("CONTROLS_PORT") or "0"
    if controls not in {"0", "1"}:
        parser.error(f"CONTROLS={controls!r} is neither 0 nor 1")
    if not port.isdecimal() or int(port) > PORT_MAX:
        parser.error(f"CONTROLS_PORT={port!r} is no port up to {PORT_MAX}")
    return controls == "1", int(port)
