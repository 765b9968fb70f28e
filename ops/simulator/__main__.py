"""Run one simulated processor: `python -m ops.simulator --port 8001 --fee 0.05`."""

import argparse
import asyncio
import gc
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from decimal import Decimal, DecimalException
from pathlib import Path

from ops.simulator.ledger_file import LedgerFile, LedgerFileError
from ops.simulator.server import PortError, SimulatorOptions, SimulatorServer

new_event_loop: Callable[[], asyncio.AbstractEventLoop]
try:
    import uvloop

    new_event_loop = uvloop.new_event_loop
except ModuleNotFoundError:  # It only adds speed, and the image of the replicas does not have it.
    new_event_loop = asyncio.new_event_loop

ADMIN_PORT_OFFSET = 1000
PORT_MAX = 65535


def main() -> int:
    """Serve until SIGTERM or SIGINT; return 1 where the simulator cannot be started, else 0."""
    arguments = _parse_arguments()
    admin_port = arguments.admin_port
    if admin_port is None:
        admin_port = arguments.port + ADMIN_PORT_OFFSET if arguments.port else 0
    options = SimulatorOptions(arguments.fee, arguments.host, arguments.port, admin_port, arguments.token)
    try:
        with ExitStack() as stack:
            ledger_file = stack.enter_context(LedgerFile(arguments.ledger)) if arguments.ledger else None
            runner = stack.enter_context(asyncio.Runner(loop_factory=new_event_loop))
            runner.run(_serve(options, ledger_file))
    except (PortError, LedgerFileError, OSError) as error:
        print(f"{arguments.name}: {error}", file=sys.stderr)  # noqa: T201 - a command speaks to its user
        return 1
    return 0


async def _serve(options: SimulatorOptions, ledger_file: LedgerFile | None) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    server = SimulatorServer(options, ledger_file)
    await server.start()
    gc.freeze()
    print(f"ready http://{options.host}:{server.port}", flush=True)  # noqa: T201 - whoever started it waits for this line
    await stopped.wait()
    await server.stop()


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ops.simulator", description=__doc__)
    parser.add_argument("--name", default="default", help="its name in messages")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=_port, default=8001, help="0 takes any free port")
    parser.add_argument("--admin-port", type=_port, help=f"default: the port plus {ADMIN_PORT_OFFSET}")
    parser.add_argument("--fee", type=_fee, default=Decimal("0.05"), help="the share of each amount, 0 to 1")
    parser.add_argument("--ledger", type=Path, help="file that keeps the charges for the next start")
    parser.add_argument("--token", default="123", help="what the header X-Rinha-Token must be")
    return parser.parse_args()


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= PORT_MAX:
        raise ValueError
    return port


def _fee(text: str) -> Decimal:
    try:
        fee = Decimal(text)
    except DecimalException as error:
        raise ValueError from error
    if not 0 <= fee <= 1:
        raise ValueError
    return fee


if __name__ == "__main__":
    sys.exit(main())
