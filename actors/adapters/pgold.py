"""Connections to Postgres, each with a limit over all that is done with it."""

from collections.abc import Iterator
from contextlib import contextmanager

import gevent
import psycopg
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool, PoolTimeout

from actors.errors import LedgerUnavailableError

CONNECT_S_MAX = 2
"""For a new connection, or a free one of a pool."""

LOCK_MS_MAX = 2000
"""For a lock that another statement has; shorter than a lease."""

Connection = psycopg.Connection[TupleRow]


class Line:
    """One connection, opened when it is needed, and closed when it has failed. For one caller at a time."""

    def __init__(self, database_url: str, limit_s: float) -> None:
        self._database_url = database_url
        self._limit_s = limit_s
        self._connection: Connection | None = None

    @contextmanager
    def use(self) -> Iterator[Connection]:
        """Lend the connection; raises LedgerUnavailableError."""
        try:
            with _limited(self._limit_s):
                if self._connection is None:
                    self._connection = self._connect()
                yield self._connection
        except LedgerUnavailableError:
            self.close()
            raise

    def _connect(self) -> Connection:
        # The server gives up as well: a statement that waits for a lock would otherwise hold its own locks on.
        limit_ms = int(self._limit_s * 1000)
        return psycopg.connect(
            self._database_url,
            autocommit=True,
            connect_timeout=CONNECT_S_MAX,
            options=f"-c statement_timeout={limit_ms} -c lock_timeout={min(limit_ms, LOCK_MS_MAX)}",
        )

    def close(self) -> None:
        """Close it; the next use opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Pool:
    """A few connections for many callers. One that has failed is replaced."""

    def __init__(self, database_url: str, size_max: int, limit_s: float) -> None:
        """`limit_s` is for one use, with the wait for its connection."""
        self._limit_s = limit_s
        self._pool = ConnectionPool(
            database_url,
            min_size=1,
            max_size=size_max,
            timeout=CONNECT_S_MAX,
            kwargs={"autocommit": True, "connect_timeout": CONNECT_S_MAX},
            open=False,
            check=ConnectionPool.check_connection,
        )

    def open(self) -> None:
        """Begin to connect; returns at once."""
        self._pool.open()

    @contextmanager
    def use(self, limit_s: float | None = None) -> Iterator[Connection]:
        """Lend a connection; raises LedgerUnavailableError."""
        with _limited(limit_s or self._limit_s), self._pool.connection() as connection:
            yield connection

    def close(self) -> None:
        """End all connections."""
        self._pool.close()


@contextmanager
def _limited(limit_s: float) -> Iterator[None]:
    # No `Exception` inside the limit: the pool's own check of a connection would swallow it. None of it gets out of
    # here, where it would stop every actor.
    timeout = gevent.Timeout.start_new(limit_s)
    try:
        yield
    except gevent.Timeout as error:
        if error is not timeout:
            raise
        raise LedgerUnavailableError(f"no answer within {limit_s} s") from error
    except (psycopg.Error, PoolTimeout) as error:
        raise LedgerUnavailableError(str(error).partition("\n")[0] or type(error).__name__) from error
    finally:
        timeout.close()
