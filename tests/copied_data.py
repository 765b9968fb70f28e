"""Puts a PostgreSQL back to an earlier time, as a restore of its disk does."""

import subprocess

import psycopg

from ops.stack.embedded import PostgresServer


def copy_data(server: PostgresServer) -> None:
    """Copy the data of a running server at one instant: it stands still meanwhile."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
    server.pause()
    try:
        subprocess.run(["cp", "-a", server.data, server.data.with_name("copy")], check=True)  # noqa: S603, S607  # our own folders
    finally:
        server.resume()


def put_back_the_copy(server: PostgresServer) -> None:
    """Kill the server, and let the copy be its data."""
    server.kill()
    server.data.rename(server.data.with_name("lost"))
    server.data.with_name("copy").rename(server.data)
