"""Connections to Postgres, each with a limit on the time of everything that is done with it."""

from collections.abc import Iterator
from contextlib import contextmanager

import gevent
import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from actors.adapters.host_addresses import HostDirectory
from actors.adapters.postgres.conninfo import check_database_url, locate, named
from actors.adapters.postgres.session import GeventConnection
from actors.adapters.postgres.standby_watch import StandbyWatch
from actors.domain.level import Level
from actors.errors import LedgerUnavailableError

CONNECT_S_MAX = 2
"""Longest time to open a connection, or to wait for a free one of the pool."""
WAIT_SHARE = 0.7
"""Share of a time limit that may be spent waiting for a free connection of the pool."""
PING_S_MAX = 0.5
READ_S_MAX = 3.0
"""Longest time for a question or a lease's renewal, including the wait for a connection."""
READER_S_MAX = 1.5
"""Longest time for a summary or a list: shorter than the time for which others wait for the pool's connection."""
WRITE_S_MAX = 5.0
"""Longest time for one batch. A batch that is given up may be committed all the same; writing it again is harmless."""
LOCK_MS_MAX = 2000
"""Longest wait of a statement for a lock that another statement holds; shorter than a lease."""
CLIENT_CHECK_MS = 1000
"""How often the server checks, during a long statement, that its client is still connected."""
POOL_SIZE_MAX = 1
"""Connections of the pool: with one that writes and one that keeps the lease, a replica has three."""

# One plan for every batch, made once and good for tables of any size: each row is found by its primary key. Planning
# every batch anew would cost more than a small batch itself, and a plan that was made while the tables were small would
# scan them from end to end until the next ANALYZE. Joins within a batch compare all pairs: batches of a few hundred.
BATCH_PLAN = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}


class SingleConnection:
    """One connection for one caller at a time: opened when it is needed, closed when a use of it has failed."""

    def __init__(
        self, database_url: str, hosts: HostDirectory, limit_s: float, settings: dict[str, str] | None = None
    ) -> None:
        """Connects at the first use. `settings` are parameters of the server for this session."""
        self._database_url = database_url
        self._hosts = hosts
        self._limit_s = limit_s
        self._settings = _bounds(limit_s) | (settings or {})
        self._connection: GeventConnection | None = None
        self._failures = 0
        self._standbys = StandbyWatch()

    @contextmanager
    def use(self) -> Iterator[GeventConnection]:
        """Lend the connection.

        Raises:
            LedgerUnavailableError: Postgres refused, failed, took longer than the limit, or committed without the
                standby that it was to wait for.
        """
        try:
            with _limited(self._limit_s):
                if self._connection is None:
                    conninfo = locate(self._database_url, self._hosts, self._failures)
                    self._connection = GeventConnection.connect(
                        conninfo, connect_timeout=CONNECT_S_MAX, settings=self._settings
                    )
                    self._standbys.listen(self._connection)
                with self._connection.bounded():
                    yield self._connection
                self._standbys.check()
        except LedgerUnavailableError:
            self._failures += 1
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Pool:
    """A few connections for many callers. A connection that has failed is replaced."""

    def __init__(self, database_url: str, hosts: HostDirectory, size_max: int, limit_s: float) -> None:
        """`limit_s` bounds one use, including the wait for a connection."""
        self._limit_s = limit_s
        self._lent = 0
        self._pool = ConnectionPool(
            lambda: locate(database_url, hosts),
            connection_class=GeventConnection,
            min_size=1,
            max_size=size_max,
            timeout=CONNECT_S_MAX,
            kwargs={"connect_timeout": CONNECT_S_MAX, "settings": _bounds(limit_s)},
            open=False,
            check=ConnectionPool.check_connection,
        )

    def open(self) -> None:
        """Begin to connect; returns at once."""
        self._pool.open()

    @property
    def is_busy(self) -> bool:
        """Whether all connections are lent."""
        return self._lent >= self._pool.max_size

    @property
    def level(self) -> Level:
        """How many connections are lent."""
        stats = self._pool.get_stats()
        return Level(stats.get("pool_size", 0) - stats.get("pool_available", 0), self._pool.max_size)

    @contextmanager
    def use(self, limit_s: float | None = None) -> Iterator[GeventConnection]:
        """Lend a connection.

        Raises:
            LedgerUnavailableError: Postgres refused, failed, or took longer than the limit.
        """
        limit_s = limit_s or self._limit_s
        # A caller has to stop waiting for a connection before the limit: the pool would give one to a waiter that was
        # interrupted, and never get it back.
        wait_s_max = min(CONNECT_S_MAX, WAIT_SHARE * limit_s)
        with _limited(limit_s), self._pool.connection(wait_s_max) as connection, connection.bounded():
            self._lent += 1
            try:
                yield connection
            except gevent.Timeout:
                # The server is still at work on the statement. psycopg would try to roll back, and log that it cannot.
                connection.close()
                raise
            finally:
                self._lent -= 1

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()


class Connections:
    """The connections of one replica, which its storage adapters share."""

    def __init__(self, database_url: str, hosts: HostDirectory, name: str = "fiel") -> None:
        """Connect when a connection is first used, or at `open`; the server shows them under `name`.

        Raises:
            SettingsError: the URL is malformed.
        """
        check_database_url(database_url)
        database_url = named(database_url, name)
        self.writer = SingleConnection(database_url, hosts, WRITE_S_MAX, BATCH_PLAN)
        """Writes batches, for the persistence actor alone."""
        self.leaser = SingleConnection(database_url, hosts, READ_S_MAX)
        """Keeps the lease. It is apart from the pool, so that a crowd of readers cannot cost the replica its lease."""
        self.pool = Pool(database_url, hosts, POOL_SIZE_MAX, READ_S_MAX)
        """Answers everybody else."""

    def open(self) -> None:
        """Begin to connect; returns at once."""
        self.pool.open()

    def ping(self) -> None:
        """Check within `PING_S_MAX` that Postgres answers, unless the pool is busy: those who use it will find out.

        Raises:
            LedgerUnavailableError: it does not.
        """
        if self.pool.is_busy:
            return
        with self.pool.use(PING_S_MAX) as connection:
            connection.execute("SELECT 1")

    @property
    def lent(self) -> Level:
        """How many connections of the pool are in use."""
        return self.pool.level

    def close(self) -> None:
        """Close all connections."""
        self.pool.close()
        self.writer.close()
        self.leaser.close()


def _bounds(limit_s: float) -> dict[str, str]:
    """Give the server's settings for whatever is done within a limit.

    The server gives up as well: a statement that waits for a lock would otherwise go on holding its own locks.
    """
    limit_ms = int(limit_s * 1000)
    return {
        "statement_timeout": str(limit_ms),
        "lock_timeout": str(min(limit_ms, LOCK_MS_MAX)),
        "idle_in_transaction_session_timeout": str(limit_ms),
        "client_connection_check_interval": str(CLIENT_CHECK_MS),
        # Each statement has to see what those committed that it has waited for, whatever the database's default is.
        "default_transaction_isolation": "read committed",
        # A question uses one process of the server. No statement here is worth being compiled.
        "max_parallel_workers_per_gather": "0",
        "jit": "off",
    }


@contextmanager
def _limited(limit_s: float) -> Iterator[None]:
    # The timeout is no `Exception`: the pool's own check of a connection would swallow one. It never leaves this
    # function, because outside it would stop every actor.
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
