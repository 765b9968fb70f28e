"""A command's connection to PostgreSQL, and how it tells in one line what fails there."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from actors.adapters.postgres.conninfo import for_writing, named
from ops import OpsError

CONNECT_S_MAX = 5


@contextmanager
def connected(database_url: str, command: str, *, autocommit: bool = False) -> Iterator[psycopg.Connection]:
    """Connect under the name of a command; what is done within is one transaction, unless in autocommit.

    A URL with several hosts leads to the one that accepts writes.

    Raises:
        OpsError: PostgreSQL cannot be reached, or refuses what is done within.
    """
    try:
        conninfo = named(for_writing(database_url), command)
        with psycopg.connect(conninfo, connect_timeout=CONNECT_S_MAX, autocommit=autocommit) as connection:
            yield connection
    except psycopg.Error as error:
        raise OpsError(one_line(error)) from error


def one_line(error: psycopg.Error) -> str:
    """Give what PostgreSQL says of an error, which may be several lines, as one."""
    return " ".join(str(error).split())
