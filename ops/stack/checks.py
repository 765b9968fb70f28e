"""The checks that have to pass before anything of a stack is started."""

import socket

import psycopg

from actors.domain.processors import Processor, parse_processors
from actors.errors import SettingsError
from ops import OpsError
from ops.database import CONNECT_S_MAX, one_line
from ops.stack.ping import redis_error
from ops.stack.settings import StackOptions


def check_stack_options(options: StackOptions) -> tuple[Processor, ...]:
    """Check that ports are free and servers of others can be reached; return the payment processors.

    Raises:
        OpsError: the first check that failed.
    """
    processors = _processors(options)
    check_ports(options)
    if options.database_url is not None:
        _check_database(options.database_url)
    if options.redis_url is not None:
        fault = redis_error(options.redis_url)
        if fault is not None:
            raise OpsError(f"cannot reach REDIS_URL ({fault}): start that Redis, or unset it for an embedded one")
    return processors


def check_ports(options: StackOptions) -> None:
    """Check that every port of the stack is free.

    Raises:
        OpsError: a port is in use; the message names the port and the option that changes it.
    """
    wanted = [("0.0.0.0", options.port, "--port")]  # noqa: S104 - what a gateway is for
    wanted += [("127.0.0.1", port, "--port") for port in options.replica_ports]
    if options.processors is None:
        wanted += [("127.0.0.1", port, "--processor-ports") for port in options.processor_ports]
        wanted += [("127.0.0.1", port, "--admin-ports") for port in options.admin_ports]
    wanted += [("127.0.0.1", port, "server_ports") for port in options.server_ports or ()]
    if options.controls and options.controls_port:
        wanted.append(("127.0.0.1", options.controls_port, "CONTROLS_PORT"))
    for host, port, option in wanted:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            # With SO_REUSEADDR, connections that are still closing do not make a port busy; a listening socket does.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except (OSError, OverflowError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                raise OpsError(
                    f"port {port} is not free ({reason}): stop what listens there, or choose another with {option}"
                ) from error


def _processors(options: StackOptions) -> tuple[Processor, ...]:
    default, fallback = options.processor_ports
    host = "127.0.0.1" if options.server_ports is None else "localhost"
    fees = options.fees
    simulated = f"default=http://{host}:{default},{fees[0]} fallback=http://{host}:{fallback},{fees[1]}"
    try:
        return parse_processors(simulated if options.processors is None else options.processors)
    except SettingsError as error:
        raise OpsError(str(error)) from error


def _check_database(url: str) -> None:
    try:
        psycopg.connect(url, connect_timeout=CONNECT_S_MAX).close()
    except psycopg.Error as error:
        raise OpsError(
            f"cannot reach DATABASE_URL ({one_line(error)}): start that PostgreSQL, or unset it for an embedded one"
        ) from error
