"""How a command connects to PostgreSQL."""

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ops import OpsError
from ops.database import connected


def test_of_several_hosts_a_command_takes_only_one_that_accepts_writes(database_url: str) -> None:
    given = conninfo_to_dict(database_url)
    one = {key: str(given[key]) for key in ("host", "port") if given.get(key)}
    two = {key: f"{value},{value}" for key, value in one.items()}
    with connected(make_conninfo(database_url, **two), "a command") as connection:
        assert connection.execute("SHOW application_name").fetchone() == ("a command",)
    read_only = "-c default_transaction_read_only=on"
    with connected(make_conninfo(database_url, options=read_only), "a command") as connection:
        assert connection.info.status == psycopg.pq.ConnStatus.OK
    with (
        pytest.raises(OpsError, match="read-only"),
        connected(make_conninfo(database_url, options=read_only, **two), "a command"),
    ):
        pass
