"""The configuration of gunicorn for one replica: one worker process with many greenlets."""

from gevent import monkey

monkey.patch_all()

import gc  # noqa: E402  # nothing may be imported before the patching
import os  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
from types import FrameType  # noqa: E402

from gunicorn.workers.base import Worker  # noqa: E402

from actors.errors import SettingsError  # noqa: E402
from actors.settings import bind_addresses  # noqa: E402

try:
    bind = bind_addresses(os.environ)
except SettingsError as error:
    sys.exit(f"fiel: {error}")
reuse_port = True
worker_class = "gateway.server.worker.GatewayWorker"
workers = 1
worker_connections = 2000
keepalive = 75
graceful_timeout = 10  # for the last requests (gateway/server/worker.py), then for the actors (actors/replica.py)
timeout = 30
control_socket_disable = True
accesslog = None
errorlog = "-"
loglevel = "warning"


def pre_fork(_server: object, _worker: Worker) -> None:
    """Keep what the master has made out of garbage collection, which would write to pages that the worker shares."""
    gc.collect()
    gc.freeze()


def post_worker_init(worker: Worker) -> None:
    """Let SIGTERM make the replica unready before it closes, and exempt all present objects from garbage collection."""
    from gateway import main  # noqa: PLC0415  # it may be imported in the worker only

    def terminate(signum: int, frame: FrameType | None) -> None:
        main.begin_drain()
        worker.handle_exit(signum, frame)

    signal.signal(signal.SIGTERM, terminate)
    gc.collect()
    gc.freeze()


def worker_exit(_server: object, _worker: Worker) -> None:
    """Stop the actors, which gunicorn knows nothing of."""
    from gateway import main  # noqa: PLC0415  # it may be imported in the worker only

    main.drain()
