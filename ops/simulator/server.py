"""The processor's two ports: one for everything, one for its administration alone."""

import asyncio
import errno
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from ops.simulator.api import Api
from ops.simulator.connection import Connection, Request, Timers
from ops.simulator.ledger_file import LedgerFile
from ops.simulator.processor import Processor

BACKLOG = 1024


class PortError(Exception):
    """A port can't be listened to."""


@dataclass(frozen=True, slots=True)
class SimulatorOptions:
    """What a processor is started with; port 0 is any free one."""

    fee: Decimal
    host: str = "127.0.0.1"
    port: int = 0
    admin_port: int = 0
    token: str = "123"  # noqa: S105 - the event's public default, to be known by everyone


class Listener:
    """One port and the connections on it; a `Door`."""

    def __init__(self, host: str, port: int, handle: Callable[[Request, Connection], None], timers: Timers) -> None:
        self.host = host
        self.port = port
        """The port in use, once open."""
        self._handle = handle
        self._timers = timers
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()

    async def open(self) -> None:
        """Listen; may be called while open.

        Raises:
            OSError: the port is taken.
        """
        if self._server:
            return
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self._handle, self._connections, self._timers),
            self.host,
            self.port,
            backlog=BACKLOG,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def shut(self) -> None:
        """Refuse connections from now on, and close those that are open once what was answered is sent."""
        if self._server:
            self._server.close()
            self._server = None
        # Not now but next: who asked for it is still to be answered, and connections may be on their way in.
        asyncio.get_running_loop().call_soon(self._drop_connections)

    async def close(self) -> None:
        """Shut, and end all connections without waiting for their clients to read."""
        self.shut()
        while self._connections:
            for connection in tuple(self._connections):
                connection.abort()
            await asyncio.sleep(0)

    def _drop_connections(self) -> None:
        for connection in tuple(self._connections):
            connection.drop()


class Server:
    """A processor that listens."""

    def __init__(
        self, settings: SimulatorOptions, ledger_file: LedgerFile | None = None, timers: Timers | None = None
    ) -> None:
        timers = timers or asyncio.get_running_loop()
        self.processor = Processor(settings.fee, timers, ledger_file)
        self._everything = Listener(settings.host, settings.port, self._handle, timers)
        self._admin = Listener(settings.host, settings.admin_port, self._handle_admin, timers)
        self._api = Api(self.processor, self._everything, settings.token)

    @property
    def port(self) -> int:
        """The port for everything, once started."""
        return self._everything.port

    @property
    def admin_port(self) -> int:
        """The port for the administration, once started."""
        return self._admin.port

    async def start(self) -> None:
        """Listen on both ports.

        Raises:
            PortError: one of them is taken; neither is left open.
        """
        for listener in (self._everything, self._admin):
            try:
                await listener.open()
            except OSError as error:
                await self.stop()
                reason = "it is taken" if error.errno == errno.EADDRINUSE else error.strerror
                raise PortError(f"can't listen on {listener.host}:{listener.port}: {reason}") from error

    async def stop(self) -> None:
        """Close both ports and all connections; what is still delayed is never charged."""
        await self._everything.close()
        await self._admin.close()

    def _handle(self, request: Request, client: Connection) -> None:
        self._api.handle(request, client)

    def _handle_admin(self, request: Request, client: Connection) -> None:
        self._api.handle_admin(request, client)
