"""`python -m ops.controls`, which `ops/up` starts: serves the controls on a socket that it has opened."""

import argparse
from collections.abc import Sequence

import gevent
from gevent.pool import Pool
from gevent.pywsgi import WSGIServer
from gevent.socket import socket

from ops.controls.app import Controls, create_controls_app
from ops.controls.load import PaymentLoad
from ops.controls.local_server import HOST, LocalServer
from ops.controls.simulated_processor import SimulatedProcessor
from ops.controls.stack_link import StackLink
from ops.foreground import print_line

CONNECTIONS_MAX = 100
NAMES = (HOST, "localhost")
"""The names of this machine under which pages and controls are known."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until the process ends."""
    given = _parse(arguments)
    listener, link = socket(fileno=given.listener), StackLink(socket(fileno=given.link), given.replicas)
    port = listener.getsockname()[1]
    simulators = {name: SimulatedProcessor(name, admin_port) for name, admin_port in given.simulators}
    controls = Controls(
        PaymentLoad(given.port), simulators, given.processors, LocalServer("the gateway", given.port), link
    )
    origins = [f"http://{name}:{given.port}" for name in NAMES]
    app = create_controls_app(controls, origins, [f"{name}:{port}" for name in NAMES])
    # Without this the server's name would be looked up.
    environ = {"SERVER_NAME": HOST}
    server = WSGIServer(listener, app, log=None, spawn=Pool(CONNECTIONS_MAX), environ=environ)
    for forever in (link.listen, controls.load.run):
        gevent.spawn(forever)
    server.start()
    print_line(f"ready http://{HOST}:{port}")
    server.serve_forever()


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ops.controls", description=__doc__)
    parser.add_argument("--listener", type=int, required=True, help="descriptor of the socket to serve on")
    parser.add_argument("--link", type=int, required=True, help="descriptor of the link to ops/up")
    parser.add_argument("--port", type=int, required=True, help="of the gateway")
    parser.add_argument("--replicas", nargs="+", required=True, help="names")
    parser.add_argument("--processors", nargs="+", required=True, help="names")
    parser.add_argument("--simulators", nargs="*", type=_named_port, default=[], metavar="NAME=ADMIN_PORT")
    return parser.parse_args(arguments)


def _named_port(text: str) -> tuple[str, int]:
    name, _, port = text.partition("=")
    return name, int(port)


if __name__ == "__main__":
    main()
