"""The two ports of a processor: one for all endpoints, one for the administrative ones alone."""

import asyncio
import errno
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from ops.simulator.api import Api
from ops.simulator.connection import ClientConnection, Request, Timers
from ops.simulator.ledger_file import LedgerFile
from ops.simulator.processor import PaymentProcessor

BACKLOG = 1024


class PortError(Exception):
    """A port cannot be listened on."""


@dataclass(frozen=True, slots=True)
class SimulatorOptions:
    """What a simulator is started with; port 0 stands for any free port."""

    fee: Decimal
    host: str = "127.0.0.1"
    port: int = 0
    admin_port: int = 0
    token: str = "123"  # noqa: S105 - the event's public default, to be known by everyone


class Listener:
    """A port and its connections; fulfils the protocol `PaymentPort`."""

    def __init__(
        self, host: str, port: int, handle: Callable[[Request, ClientConnection], None], timers: Timers
    ) -> None:
        self.host = host
        self.port = port
        """The port, known once it is open."""
        self._handle = handle
        self._timers = timers
        self._server: asyncio.Server | None = None
        self._connections: set[ClientConnection] = set()

    async def open(self) -> None:
        """Listen on the port; does nothing while it is open.

        Raises:
            OSError: the port is in use.
        """
        if self._server:
            return
        self._server = await asyncio.get_running_loop().create_server(
            lambda: ClientConnection(self._handle, self._connections, self._timers),
            self.host,
            self.port,
            backlog=BACKLOG,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def shut(self) -> None:
        """Refuse new connections, and close open ones when the answers that were given have been sent."""
        if self._server:
            self._server.close()
            self._server = None
        # In the next turn of the loop, because the client that asked for it still has to be answered, and because
        # connections that were just accepted have to be closed too.
        asyncio.get_running_loop().call_soon(self._drop_connections)

    async def close(self) -> None:
        """Stop listening, and end all connections without waiting until their clients have read their answers."""
        self.shut()
        while self._connections:
            for connection in tuple(self._connections):
                connection.abort()
            await asyncio.sleep(0)

    def _drop_connections(self) -> None:
        for connection in tuple(self._connections):
            connection.drop()


class SimulatorServer:
    """A simulated processor with its two ports."""

    def __init__(
        self, options: SimulatorOptions, ledger_file: LedgerFile | None = None, timers: Timers | None = None
    ) -> None:
        timers = timers or asyncio.get_running_loop()
        self.processor = PaymentProcessor(options.fee, timers, ledger_file)
        self._all_endpoints = Listener(options.host, options.port, self._handle, timers)
        self._admin = Listener(options.host, options.admin_port, self._handle_admin, timers)
        self._api = Api(self.processor, self._all_endpoints, options.token)

    @property
    def port(self) -> int:
        """The port for all endpoints, known once the server is started."""
        return self._all_endpoints.port

    @property
    def admin_port(self) -> int:
        """The port for the administrative endpoints, known once the server is started."""
        return self._admin.port

    async def start(self) -> None:
        """Listen on both ports.

        Raises:
            PortError: a port is in use; neither stays open.
        """
        for listener in (self._all_endpoints, self._admin):
            try:
                await listener.open()
            except OSError as error:
                await self.stop()
                reason = "it is taken" if error.errno == errno.EADDRINUSE else error.strerror
                raise PortError(f"can't listen on {listener.host}:{listener.port}: {reason}") from error

    async def stop(self) -> None:
        """Close both ports and all connections; payments that are still being delayed are never charged."""
        await self._all_endpoints.close()
        await self._admin.close()

    def _handle(self, request: Request, client: ClientConnection) -> None:
        self._api.handle(request, client)

    def _handle_admin(self, request: Request, client: ClientConnection) -> None:
        self._api.handle_admin(request, client)
