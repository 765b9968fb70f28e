"""The entry point of a replica: `gunicorn -c ops/gunicorn.conf.py "gateway.main:application()"`."""

import logging
import os
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol
from wsgiref.types import WSGIApplication

from gunicorn.arbiter import Arbiter

from actors.errors import SettingsError
from actors.logs import get_logger
from actors.monitor import Monitor, PostAnswers
from actors.overview import Overview
from actors.replica import Replica
from actors.settings import Settings
from actors.system import Parts, System, production_parts, production_tracing
from gateway.app import create_app
from gateway.payments import ACCEPTED, JOURNALLED
from gateway.sampled_histogram import BOUNDS_S, SampledHistogram
from gateway.server.admission import ClientLevels
from gateway.server.lame_duck import LAME_DUCK
from gateway.traced_app import TracedApp

logger = get_logger(__name__)


class Closable(Protocol):
    """What is closed at the end."""

    def close(self) -> None:
        """Close it."""


_replicas: list[Replica] = []
"""The one replica of this process, once it is started."""
_monitors: list[Monitor] = []
"""The monitor of that replica."""
_clients: list[Callable[[], ClientLevels]] = []
"""Tells how many clients the worker of this process has, once it serves them."""
_tracings: list[Closable] = []
"""The exporter of its traces, if there is one."""


def application(make_parts: Callable[[Settings], Parts] = production_parts) -> WSGIApplication:
    """Read the environment, start the actors of these parts, and build the application.

    Raises:
        SystemExit: the environment is not usable; the log says why, and gunicorn ends.
    """
    try:
        settings = Settings.from_environment(os.environ)
        parts = make_parts(settings)
        tracing = production_tracing(settings, os.environ, parts.runtime)
    except SettingsError as error:
        logger.critical("the settings are not usable", reason=str(error))
        sys.exit(Arbiter.APP_LOAD_ERROR)
    if settings.allow_purge:
        logger.warning("ALLOW_PURGE=1: anyone who reaches this gateway can delete all payments, without a token")
    if tracing is not None:
        parts = replace(parts, clients=tracing.clients(parts.clients))
        _tracings.append(tracing)
    system = System(settings, parts)
    replica = Replica(system, _end_process, is_lame_duck=lambda: LAME_DUCK.has_begun, settle_s_max=settings.settle_s)
    answers, acceptance = Counter[str](), SampledHistogram()
    monitor = Monitor(
        name=settings.replica,
        replica=replica,
        board=parts.status_board,
        answers=lambda: PostAnswers(answers[ACCEPTED] + answers[JOURNALLED], acceptance.counts),
        usage=parts.usage,
        runtime=parts.runtime,
    )
    overview = Overview(
        name=settings.replica,
        monitor=monitor,
        board=parts.status_board,
        queries=system.queries,
        bounds_s=BOUNDS_S,
        runtime=parts.runtime,
        make_turns=parts.make_turns,
    )
    replica.start()
    monitor.start()
    _replicas.append(replica)
    _monitors.append(monitor)
    app = create_app(
        replica,
        system.queries,
        system.resolutions,
        overview,
        allow_purge=settings.allow_purge,
        allow_force=settings.allow_force,
        allow_resolve=settings.allow_resolve,
        admin_token=settings.admin_token,
        replica=settings.replica,
        processors=settings.processors,
        currencies=settings.currencies,
        durability=settings.durability,
        controls_url=settings.controls_url,
        answers=answers,
        acceptance=acceptance,
        clients=lambda: _clients[-1]() if _clients else None,
    )
    return app if tracing is None else TracedApp(app, tracing)


def count_clients(levels: Callable[[], ClientLevels]) -> None:
    """Let the metrics tell how many clients there are."""
    _clients.append(levels)


def begin_drain() -> None:
    """Turn the replica unready; this may be called in a signal handler."""
    for replica in _replicas:
        replica.begin_drain()


def drain() -> None:
    """Stop the actors in order, after the last request was answered."""
    while _monitors:
        _monitors.pop().stop()
    while _replicas:
        _replicas.pop().drain()
    while _tracings:
        _tracings.pop().close()


def _end_process(reason: str) -> None:
    # At once: gunicorn starts a new process, and all that was accepted is in the journal or in Postgres.
    logger.critical("this process ends", reason=reason)
    logging.shutdown()
    os._exit(1)
