"""The configuration of gunicorn for one replica: one worker process with many greenlets."""

import gc

# Imports leave much that stays and little garbage: looking for it again and again would make the start longer.
gc.disable()

from gevent import monkey

# Nothing that opens sockets or waits may be imported before this call.
monkey.patch_all()

import logging
import math
import os
import resource
import signal
import socket
import sys
from types import FrameType
from typing import NoReturn

from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from actors.errors import SettingsError
from actors.log_lines import configure, tell
from actors.log_settings import LogFormat, LogSettings
from actors.settings import bind_addresses, calls_max, host_name, journal_dir, lame_duck_s, settle_s
from gateway.server.lame_duck import LAME_DUCK
from gateway.server.own_folder import take_own_name
from gateway.server.succession import SUCCESSION

OLDEST_AFTER = 100
"""After this many collections of the middle generation the oldest one is collected as well. That takes up to 60 ms, in
which no client is answered, and frees next to nothing, since most garbage dies young."""
END_S_MAX = 9
"""How long the end may take besides a lame duck and `SETTLE_MS`: the last requests (gateway/server/worker.py), then the
actors (actors/replica.py)."""
FILES_BESIDE = 416
"""Descriptors beside those of clients and of calls to processors: Postgres, Redis, the journal and the process."""


def _refuse(reason: str) -> NoReturn:
    tell("ops.gunicorn", logging.CRITICAL, "the settings are not usable", reason=reason)
    sys.exit(1)


def _addresses(given: list[str]) -> list[str]:
    """Leave out `[::]`, which means every IPv6 address, if this machine has no IPv6."""
    try:
        # gevent's own socket would make a hub in the master.
        with monkey.get_original("socket", "socket")(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        return [address for address in given if not address.startswith("[::]:")]
    return given


def _connections_max(given: str, calls: int) -> int:
    """Read `CONNECTIONS_MAX`, and let the process have descriptors for as many clients, and for as many calls."""
    if not given.isdecimal() or int(given) < 1:
        _refuse(f"CONNECTIONS_MAX={given!r} is not a whole number of at least 1")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = int(given) + calls + FILES_BESIDE
    if hard != resource.RLIM_INFINITY and hard < wanted:
        _refuse(
            f"CONNECTIONS_MAX={given} and IN_FLIGHT_MAX, {calls} calls to processors in all, need {wanted} descriptors,"
            f" and this process may have {hard} (ulimit -Hn)"
        )
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return int(given)


configure(LogSettings("", LogFormat.AUTO, "INFO", access=False), os.environ)
try:
    if "REPLICA" not in os.environ and host_name():
        # The name is chosen once for the master and all its workers; lines of the log bear it as well.
        os.environ["REPLICA"] = take_own_name(journal_dir(os.environ), host_name())
    configure(LogSettings.from_environment(os.environ), os.environ)
    bind = _addresses(bind_addresses(os.environ))
    LAME_DUCK_S = lame_duck_s(os.environ)
    graceful_timeout = END_S_MAX + math.ceil(settle_s(os.environ))
    CALLS_MAX = calls_max(os.environ)
except SettingsError as error:
    _refuse(str(error))
reuse_port = True
worker_class = "gateway.server.worker.GatewayWorker"
workers = 1
worker_connections = _connections_max(os.environ.get("CONNECTIONS_MAX", "1000"), CALLS_MAX)
keepalive = 75
timeout = 30
control_socket_disable = True
logger_class = "gateway.server.gunicorn_log.GatewayLogger"
accesslog = None
errorlog = "-"
loglevel = "warning"


def when_ready(server: Arbiter) -> None:
    """Let SIGTERM begin a lame duck, if the settings ask for one."""
    LAME_DUCK.put_off_end(server, LAME_DUCK_S)


def pre_exec(server: Arbiter) -> None:
    """Refuse SIGUSR2: a second master would wait for the journal of the first, and its clients with it."""
    server.log.error("SIGUSR2 is refused: a journal has one process; SIGHUP starts the worker anew in its place")
    os._exit(1)


def pre_fork(_server: object, _worker: Worker) -> None:
    """Exempt the master's objects from garbage collection, which would write to pages that the worker shares."""
    gc.collect()
    gc.freeze()
    SUCCESSION.begin()


def post_fork(_server: object, _worker: Worker) -> None:
    """After SIGHUP, let the worker that this one replaces know that this one listens."""
    SUCCESSION.end()


def post_worker_init(worker: Worker) -> None:
    """Let SIGTERM make the replica unready before it closes, and exempt all present objects from garbage collection.

    The metrics tell how many clients the worker has.
    """
    from gateway import main  # noqa: PLC0415  # it may be imported in the worker only
    from gateway.server.gunicorn_log import log_errors_of_greenlets  # noqa: PLC0415  # no hub is made in the master
    from gateway.server.worker import GatewayWorker  # noqa: PLC0415  # the same

    log_errors_of_greenlets()

    def terminate(signum: int, frame: FrameType | None) -> None:
        main.begin_drain()
        worker.handle_exit(signum, frame)

    if isinstance(worker, GatewayWorker):  # `ops/bench http` compares it with gunicorn's own
        main.count_clients(worker.admission.levels)
    signal.signal(signal.SIGTERM, terminate)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*gc.get_threshold()[:2], OLDEST_AFTER)
    gc.enable()


def worker_exit(_server: object, _worker: Worker) -> None:
    """Stop the actors, of which gunicorn does not know."""
    from gateway import main  # noqa: PLC0415  # it may be imported in the worker only

    main.drain()
