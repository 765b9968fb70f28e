"""The connections of a replica to Postgres, and how long each may be used at a time."""

from actors.adapters.host_addresses import HostDirectory
from actors.adapters.postgres.conninfo import check_database_url, named, watched
from actors.adapters.postgres.lending import SharedConnection, SingleConnection
from actors.domain.level import Level

PING_S_MAX = 0.5
READ_S_MAX = 3.0
"""Longest time for a question or a lease's renewal, including the wait for a connection."""
READER_S_MAX = 1.5
"""Longest time for a summary or a list: shorter than the time for which others wait for the connection."""
WRITE_S_MAX = 5.0
"""Longest time for one batch. A batch that is given up may be committed all the same; writing it again is harmless."""
PURGE_S_MAX = 300.0
"""Longest time for a purge, which reads all payments once while nobody writes any."""
PURGE_SETTINGS = {"idle_in_transaction_session_timeout": str(int(READ_S_MAX * 1000))}
"""A purge locks everything: the server ends one whose replica has gone between two statements."""

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
        """Keeps the lease. It is one of its own, so that a crowd of readers cannot cost the replica its lease."""
        self.purger = SingleConnection(watched(database_url), hosts, PURGE_S_MAX, PURGE_SETTINGS)
        """Forgets what a purge forgets; closed otherwise."""
        self.reader = SharedConnection(database_url, hosts, READ_S_MAX)
        """Answers everybody else."""

    def open(self) -> None:
        """Begin to connect; returns at once."""
        self.reader.open()

    def ping(self) -> None:
        """Check within `PING_S_MAX` that Postgres answers, unless it is asked right now: who asks will find out.

        Raises:
            LedgerUnavailableError: it does not.
        """
        if self.reader.is_lent:
            return
        with self.reader.use(PING_S_MAX) as connection:
            connection.execute("SELECT 1")

    @property
    def lent(self) -> Level:
        """How many connections for reads are in use."""
        return Level(int(self.reader.is_lent), 1)

    def close(self) -> None:
        """Close all connections."""
        self.reader.close()
        self.writer.close()
        self.leaser.close()
        self.purger.close()
