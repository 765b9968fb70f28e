"""Commits that wait for a standby of the server."""

from concurrent.futures import ThreadPoolExecutor
from time import monotonic, sleep

import psycopg

from tests.actors.adapters.postgres.storage import DEADLINE_S
from tests.waiting import wait_until

WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
COMMIT = "SELECT pg_logical_emit_message(true, 'test', '')"
STEP_S = 0.02


def wait_for(observer: psycopg.Connection, names: str) -> None:
    """Name the standbys for which commits wait, or none by an empty text."""
    observer.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'".encode())
    observer.execute("SELECT pg_reload_conf()")
    wait_until(lambda: observer.execute("SHOW synchronous_standby_names").fetchone() == (names,))


def waiting_commit(observer: psycopg.Connection) -> int:
    """Return the process that waits for a standby, once there is one."""
    deadline_s = monotonic() + DEADLINE_S
    while (row := observer.execute(WAITING).fetchone()) is None:
        assert monotonic() < deadline_s, "nothing waits for a standby"
        sleep(STEP_S)
    return int(row[0])


def hold_commits(url: str) -> None:
    """Let every commit wait for a standby that does not exist; return once they do.

    A session may read the new setting while commits do not wait yet: they wait once the checkpointer has read it, too.
    """
    with (
        psycopg.connect(url, autocommit=True) as observer,
        psycopg.connect(url, autocommit=True) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        wait_for(observer, "nobody")
        deadline_s = monotonic() + DEADLINE_S
        commit = pool.submit(other.execute, COMMIT)
        while not observer.execute(WAITING).fetchone():
            assert monotonic() < deadline_s, "no commit waits"
            if commit.done():
                commit = pool.submit(other.execute, COMMIT)
        other.cancel_safe()
        commit.result(DEADLINE_S)
