"""A standby that took over with all that was acknowledged is told from one that lacks something, on a real pair."""

import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from actors.adapters.postgres.fence import FencedWrite
from actors.adapters.postgres.identity import read_identity
from actors.domain.records import StoreIdentity
from actors.errors import LedgerUnavailableError
from ops.migrate import migrate
from ops.stack.embedded import PostgresServer
from ops.stack.process import POLL_S
from tests.actors.adapters.postgres.standbys import hold_commits
from tests.actors.adapters.postgres.storage import ReplicaStorage, claim, opened
from tests.actors.fakes import NOW_MS, READING, both

STANDBY = "second"


@dataclass
class Pair:
    """A primary, whose commits wait for its standby."""

    first: PostgresServer
    second: PostgresServer

    def configure(self, **settings: str) -> None:
        """Change settings of the primary."""
        with psycopg.connect(self.first.url, autocommit=True) as connection:
            for name, value in settings.items():
                connection.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
            connection.execute("SELECT pg_reload_conf()")
        with psycopg.connect(self.first.url, autocommit=True) as connection:
            for name, value in settings.items():
                while connection.execute("SELECT current_setting(%s)", [name]).fetchone() != (value,):
                    time.sleep(POLL_S)

    def wait_until_synchronous(self) -> None:
        """Return when the standby follows."""
        with psycopg.connect(self.first.url, autocommit=True) as connection:
            while connection.execute("SELECT sync_state FROM pg_stat_replication").fetchone() != ("sync",):
                time.sleep(POLL_S)

    def take_over(self) -> None:
        """Let the primary end at once, and the standby take over."""
        self.first.kill()
        with psycopg.connect(self.second.url, autocommit=True) as connection:
            connection.execute("SELECT pg_promote()")


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    first = PostgresServer(tmp_path / "first", log=tmp_path / "first.log")
    first.start()
    first.wait_ready()
    migrate(first.url)
    # The standby runs under another account than the one that may log in.
    access = first.data / "pg_hba.conf"
    access.write_text("local replication all trust\n" + access.read_text())
    with psycopg.connect(first.url, autocommit=True) as connection:
        connection.execute("SELECT pg_reload_conf()")
    second = PostgresServer(tmp_path / "second", log=tmp_path / "second.log")
    tool = [str(first.binaries / "pg_basebackup"), "-c", "fast", "-d", first.url, "-D", str(second.data)]
    subprocess.run(tool, check=True)  # noqa: S603  # our own server
    source = psycopg.conninfo.make_conninfo(first.url, application_name=STANDBY).replace("'", "''")
    with (tmp_path / "second" / "postgresql.auto.conf").open("a") as configuration:
        configuration.write(f"primary_conninfo = '{source}'\nwal_retrieve_retry_interval = 100\n")
    (tmp_path / "second" / "standby.signal").touch()
    subprocess.run(["chown", "-R", first.account.pw_name, tmp_path / "second"], check=True)  # noqa: S603, S607  # our own folder
    second.start()
    second.wait_ready()
    pair = Pair(first, second)
    hold_commits(first.url)
    pair.configure(synchronous_standby_names=STANDBY)
    pair.wait_until_synchronous()
    yield pair
    second.erase()
    first.erase()


def told(pair: Pair) -> tuple[StoreIdentity, FencedWrite | None]:
    """Let a replica do some work; give what it was told of last."""
    with opened(pair.first.url) as storage:
        storage.leases.identity()
        epoch = storage.leases.register(0, READING).epoch
        storage.payments.write([claim(1)], [], [])
        storage.leases.beat(epoch, both(NOW_MS), READING)
        storage.payments.write([claim(2)], [], [])
        return storage.leases.identity(), last_write(storage)


def last_write(storage: ReplicaStorage) -> FencedWrite | None:
    return storage.payments._fence.last_write  # type: ignore[union-attr]  # noqa: SLF001  # of a real server


def found(pair: Pair, write: FencedWrite | None) -> StoreIdentity:
    with psycopg.connect(pair.second.url, autocommit=True) as connection:
        return read_identity(connection, "a", write)  # type: ignore[arg-type]  # it waits otherwise, and does the same


def test_a_synchronous_standby_has_all_that_was_acknowledged(pair: Pair) -> None:
    seen, write = told(pair)
    pair.take_over()
    after = found(pair, write)
    assert (after.timeline, after.is_established) == (seen.timeline + 1, False)
    assert after.carries_on(seen)
    assert not after.follows(seen)


def write_once_more(storage: ReplicaStorage) -> None:
    storage.payments.write([claim(3)], [], [])


def beat_once_more(storage: ReplicaStorage) -> None:
    storage.leases.beat(1, both(NOW_MS), READING)


@pytest.mark.parametrize("act", [write_once_more, beat_once_more])
def test_a_standby_that_lacks_the_very_last_act_of_a_replica_does_not(
    pair: Pair, act: Callable[[ReplicaStorage], None]
) -> None:
    with opened(pair.first.url) as storage:
        storage.leases.identity()
        storage.leases.register(0, READING)
        storage.payments.write([claim(1)], [], [])
        pair.second.stop()
        # As where somebody has the primary go on alone.
        pair.configure(synchronous_standby_names="")
        act(storage)
        seen, write = storage.leases.identity(), last_write(storage)
        pair.first.kill()
        (pair.second.data / "postgresql.auto.conf").write_text("")
        pair.second.start()
        pair.second.wait_ready()
        pair.take_over()
        after = found(pair, write)
        assert after.is_synchronous
        assert (after.mark == seen.mark, after.has_last_write) == (act is write_once_more, act is not write_once_more)
        assert not after.carries_on(seen)


@pytest.mark.parametrize(("is_established", "is_there"), [(False, True), (True, False)])
def test_a_later_write_that_was_under_way_shows_the_one_before_unless_others_have_joined(
    database_url: str,
    is_established: bool,  # noqa: FBT001  # drawn
    is_there: bool,  # noqa: FBT001  # drawn
) -> None:
    with opened(database_url) as storage, psycopg.connect(database_url, autocommit=True) as connection:
        storage.leases.identity()
        storage.leases.register(0, READING)
        storage.payments.write([claim(1)], [], [])
        write = last_write(storage)
        # One that ends without a commit leaves its number as well.
        with connection.transaction(force_rollback=True):
            connection.execute("SELECT pg_current_xact_id() FROM replica WHERE name = 'a' FOR SHARE")
        if not is_established:
            connection.execute("UPDATE gateway SET established_history = 'another one'")
        found = read_identity(connection, "a", write)  # type: ignore[arg-type]  # as above
        connection.execute("UPDATE gateway SET established_history = database_history()")
    assert found.has_last_write is is_there


def test_a_number_that_another_transaction_has_is_no_write(database_url: str) -> None:
    with opened(database_url) as storage, psycopg.connect(database_url, autocommit=True) as connection:
        storage.leases.identity()
        storage.leases.register(0, READING)
        storage.payments.write([claim(1)], [], [])
        write = last_write(storage)
        assert write is not None
        storage.payments.report_conflicts([claim(1).payment])
        given = connection.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()
        assert given is not None
        for transaction, is_there in ((write.transaction, True), (given[0], False), (given[0] + 1000, False)):
            told = FencedWrite(write.mark, transaction)
            found = read_identity(connection, "a", told)  # type: ignore[arg-type]  # as above
            assert found.has_last_write is is_there


def test_a_commit_whose_wait_for_the_standby_was_cancelled_is_not_acknowledged(pair: Pair) -> None:
    with opened(pair.first.url) as storage, ThreadPoolExecutor() as executor:
        storage.leases.identity()
        storage.leases.register(0, READING)
        pair.second.kill()
        write = executor.submit(write_once_more, storage)
        with psycopg.connect(pair.first.url, autocommit=True) as connection:
            cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
            while connection.execute(cancel).fetchone() is None:
                time.sleep(POLL_S)
        with pytest.raises(LedgerUnavailableError, match="no standby"):
            write.result()
