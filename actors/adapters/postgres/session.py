"""A session with Postgres: its settings hold for all that it does, also where a pooler such as PgBouncer is between."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Self

import psycopg
from gevent.socket import wait_read, wait_readwrite, wait_write
from psycopg import waiting
from psycopg.abc import RV, PQGen
from psycopg.rows import TupleRow

REFUSED_OPTIONS = "unsupported startup parameter"
"""What PgBouncer answers to a client that brings settings of its own."""
BLANK = r"\ "
"""A space within an option."""

_WAITS = {waiting.Wait.R: wait_read, waiting.Wait.W: wait_write, waiting.Wait.RW: wait_readwrite}


class GeventConnection(psycopg.Connection[TupleRow]):
    """A connection that waits in gevent's loop itself: psycopg's own wait would go through gevent's slower `poll`."""

    is_shared = False
    """Whether a pooler is between, which may give each transaction another session of the server.

    There, settings are brought along by each transaction, and no statement is prepared.
    """
    opening = b""
    """The statements that begin a transaction on a shared connection, as one message to the server."""

    @classmethod
    def connect(  # type: ignore[override]  # it takes fewer arguments
        cls, conninfo: str, *, settings: Mapping[str, str], connect_timeout: int
    ) -> Self:
        """Connect, in autocommit; `settings` are the server's for whatever is done within `bounded`.

        Raises:
            psycopg.OperationalError: the server cannot be reached, or refuses.
        """
        options = " ".join(f"-c {name}={value.replace(' ', BLANK)}" for name, value in settings.items())
        try:
            connection = super().connect(conninfo, autocommit=True, connect_timeout=connect_timeout, options=options)
        except psycopg.OperationalError as error:
            if REFUSED_OPTIONS not in str(error):
                raise
            connection = super().connect(conninfo, autocommit=True, connect_timeout=connect_timeout)
        try:
            # A pooler invents the number that it tells its clients.
            (pid,) = connection.execute("SELECT pg_backend_pid()").fetchone() or (None,)
            if pid != connection.info.backend_pid:
                connection.is_shared, connection.prepare_threshold = True, None
                parts = [
                    "BEGIN ISOLATION LEVEL READ COMMITTED",
                    *(f"SET LOCAL {name} = '{value}'" for name, value in settings.items()),
                ]
                connection.opening = "; ".join(parts).encode()
        except BaseException:
            connection.close()
            raise
        return connection

    def was_ended(self) -> bool:
        """Tell whether the server has ended the session, as far as is known without asking it."""
        if self.lock.locked():
            return self.closed  # Somebody waits for an answer, and would not be told that it has come.
        try:
            # The first time gives the server's last words, where there are any, and the second time the end.
            for _ in range(2):
                self.pgconn.consume_input()
        except psycopg.OperationalError:
            return True
        return self.closed

    @contextmanager
    def bounded(self) -> Iterator[None]:
        """Let the settings hold for what is done within: it is one transaction where a pooler is between."""
        if not self.is_shared:
            yield
            return
        self.execute(self.opening)
        try:
            yield
        except Exception:
            if self.info.transaction_status is not psycopg.pq.TransactionStatus.ACTIVE:
                self.rollback()
            raise
        self.commit()

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Drive a psycopg operation to its end, letting other greenlets run; a `gevent.Timeout` interrupts it."""
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            wanted = next(gen)
            while True:
                _WAITS[wanted](self.pgconn.socket)
                # psycopg reads and writes without blocking, so that it may be told of more than is ready.
                wanted = gen.send(waiting.Ready(wanted))
        except StopIteration as end:
            result: RV = end.value
            return result
