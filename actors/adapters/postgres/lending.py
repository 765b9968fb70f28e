"""Lends connections to Postgres, with a limit on the time of everything that is done with them."""

from collections.abc import Iterator
from contextlib import contextmanager

import gevent
import psycopg
from gevent import Greenlet
from gevent.lock import BoundedSemaphore

from actors.adapters.host_addresses import HostDirectory
from actors.adapters.postgres.conninfo import locate
from actors.adapters.postgres.session import GeventConnection
from actors.adapters.postgres.standby_watch import StandbyWatch
from actors.errors import LedgerUnavailableError

CONNECT_S_MAX = 2
"""Longest time to open a connection to one address."""
WAIT_SHARE = 0.7
"""Share of a time limit that may be spent waiting while others use the connection."""
LOCK_MS_MAX = 2000
"""Longest wait of a statement for a lock that another statement holds; shorter than a lease."""
CLIENT_CHECK_MS = 1000
"""How often the server checks, during a long statement, that its client is still connected."""

BROKEN = (psycopg.pq.TransactionStatus.UNKNOWN, psycopg.pq.TransactionStatus.ACTIVE)
"""States of a connection that has ended, or whose server is silent."""


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

    def open(self) -> None:
        """Connect, unless it is open.

        Raises:
            LedgerUnavailableError: Postgres refused, or took longer than the limit.
        """
        with self._closed_on_failure():
            self._opened()

    @contextmanager
    def use(self) -> Iterator[GeventConnection]:
        """Lend the connection.

        Raises:
            LedgerUnavailableError: Postgres refused, failed, took longer than the limit, or committed without the
                standby that it was to wait for.
        """
        with self._closed_on_failure():
            connection = self._opened()
            with connection.bounded():
                yield connection
            self._standbys.check()

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def is_open(self) -> bool:
        """Whether it is connected, as far as is known without asking the server."""
        return self._connection is not None and not self._connection.was_ended()

    def _opened(self) -> GeventConnection:
        if not self.is_open:
            self.close()
        if self._connection is None:
            conninfo = locate(self._database_url, self._hosts, self._failures)
            self._connection = GeventConnection.connect(
                conninfo, connect_timeout=CONNECT_S_MAX, settings=self._settings
            )
            self._standbys.listen(self._connection)
        return self._connection

    @contextmanager
    def _closed_on_failure(self) -> Iterator[None]:
        try:
            with _limited(self._limit_s):
                yield
        except LedgerUnavailableError:
            # An address is left for the next one where the connection failed, not where a statement did.
            self._failures += self._connection is None or self._connection.info.transaction_status in BROKEN
            self.close()
            raise
        except Exception:
            raise
        except BaseException:
            # The caller gave up, or is ended. The server may still be at work on the statement.
            self.close()
            raise


class SharedConnection:
    """One connection for many callers, who take turns.

    It is opened aside from them: one whose limit is short gives up waiting, and a later one finds it open.
    """

    def __init__(self, database_url: str, hosts: HostDirectory, limit_s: float) -> None:
        """`limit_s` bounds one use, including the wait for the turn and for the connection."""
        self._limit_s = limit_s
        self._single = SingleConnection(database_url, hosts, limit_s)
        self._turns = BoundedSemaphore(1)
        self._opening: Greenlet[[], str | None] | None = None
        self.is_lent = False
        """Whether somebody uses it."""

    def open(self) -> None:
        """Begin to connect; returns at once."""
        self._begin_to_open()

    @contextmanager
    def use(self, limit_s: float | None = None) -> Iterator[GeventConnection]:
        """Lend the connection.

        Raises:
            LedgerUnavailableError: Postgres refused, failed, or took longer than the limit, or others did.
        """
        limit_s = limit_s or self._limit_s
        with _limited(limit_s):
            if self._turns.linkcount():
                gevent.sleep(0)  # Those who wait already come first.
            # Time has to be left for what the caller asks.
            wait_s_max = WAIT_SHARE * limit_s
            if not self._turns.acquire(timeout=wait_s_max):
                raise LedgerUnavailableError(f"no turn at the connection within {wait_s_max:.2g} s")
            try:
                self._wait_until_open()
                with self._single.use() as connection:
                    self.is_lent = True
                    yield connection
            finally:
                self.is_lent = False
                self._turns.release()

    def close(self) -> None:
        """Close the connection."""
        if self._opening is not None:
            self._opening.kill()
        self._single.close()

    def _wait_until_open(self) -> None:
        if self._opening is not None:
            self._opening.join()  # Whoever began it has given up, and so may it soon.
        if not self._single.is_open:
            reason = self._begin_to_open().get()
            if reason is not None:
                raise LedgerUnavailableError(str(reason))

    def _begin_to_open(self) -> "Greenlet[[], str | None]":
        if self._opening is None or self._opening.dead:
            self._opening = gevent.spawn(self._open)
        return self._opening

    def _open(self) -> str | None:
        """Connect; return why that failed."""
        try:
            self._single.open()
        except LedgerUnavailableError as error:
            return str(error)
        return None


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
    # The timeout never leaves this function, because outside it would stop every actor.
    timeout = gevent.Timeout.start_new(limit_s)
    try:
        yield
    except gevent.Timeout as error:
        if error is not timeout:
            raise
        raise LedgerUnavailableError(f"no answer within {limit_s} s") from error
    except psycopg.Error as error:
        raise LedgerUnavailableError(str(error).partition("\n")[0] or type(error).__name__) from error
    finally:
        timeout.close()
