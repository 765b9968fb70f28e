"""A Postgres that falls silent is unavailable within the limit of each call, in a replica that runs under gevent."""

import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

from psycopg.conninfo import make_conninfo

from actors.adapters.postgres.connections import PING_S_MAX, READ_S_MAX, WRITE_S_MAX
from tests.actors.adapters.postgres.storage import DEADLINE_S
from tests.actors.adapters.relay import Relay, to_postgres

ROOT = Path(__file__).parents[4]


# As a replica runs it: under gevent. It connects, says so, and calls once more when it is told to.
SILENCED = """
from gevent import monkey
monkey.patch_all()
import sys
from actors.errors import LedgerUnavailableError
from tests.actors.adapters.postgres.storage import CALLS, opened
from tests.actors.fakes import READING

call = CALLS[sys.argv[2]]
with opened(sys.argv[1], sys.argv[2]) as storage:
    storage.leases.register(0, READING)
    call(storage)
    print("connected", flush=True)
    sys.stdin.readline()
    try:
        call(storage)
    except LedgerUnavailableError as error:
        print("unavailable:", error, flush=True)
"""


def said_of_silence(database_url: str, names: Sequence[str]) -> dict[str, str]:
    """Call these while Postgres has fallen silent, each in a replica of its own, and tell what each replica says."""
    with ExitStack() as ends:
        relay = ends.enter_context(closing(Relay(to_postgres(database_url))))
        url = make_conninfo(database_url, host="127.0.0.1", port=str(relay.port))
        replicas = []
        for name in names:
            command = [sys.executable, "-c", SILENCED, url, name]
            replica = subprocess.Popen(  # noqa: S603  # our own script
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True
            )
            ends.enter_context(replica)
            ends.callback(replica.kill)
            replicas.append(replica)
        assert [replica.stdout and replica.stdout.readline() for replica in replicas] == ["connected\n"] * len(names)
        relay.freeze()
        with ThreadPoolExecutor() as executor:
            said = executor.map(lambda replica: replica.communicate("go\n", timeout=DEADLINE_S)[0], replicas)
            return dict(zip(names, said, strict=True))


def test_a_server_that_falls_silent_is_unavailable_in_the_end(database_url: str) -> None:
    said = said_of_silence(database_url, ["write", "beat", "finish_purge", "summary"])
    assert said.pop("summary").startswith("unavailable: ")
    assert said == {
        "write": f"unavailable: no answer within {WRITE_S_MAX} s\n",
        "beat": f"unavailable: no answer within {READ_S_MAX} s\n",
        "finish_purge": f"unavailable: no answer within {READ_S_MAX} s\n",
    }


def test_a_ping_does_not_wait_long_for_a_server_that_falls_silent(database_url: str) -> None:
    assert said_of_silence(database_url, ["ping"]) == {"ping": f"unavailable: no answer within {PING_S_MAX} s\n"}


# Under gevent, as in a replica: some stop waiting by themselves, and others are interrupted.
CROWDED = """
from gevent import monkey
monkey.patch_all()
import sys
import gevent
from contextlib import closing, suppress
from actors.adapters.host_addresses import HostDirectory
from actors.adapters.postgres.connections import READ_S_MAX
from actors.adapters.postgres.lending import SharedConnection
from actors.errors import LedgerUnavailableError

with closing(SharedConnection(sys.argv[1], HostDirectory(), READ_S_MAX)) as shared:
    with shared.use():
        for limit_s in (0.05, 0.01, None):
            with suppress(LedgerUnavailableError, gevent.Timeout), gevent.Timeout(0.02), shared.use(limit_s):
                print("used by two at once")
    with shared.use() as connection:
        print(connection.execute("SELECT 1").fetchone())
"""


def test_callers_who_gave_up_waiting_keep_the_connection_from_nobody(database_url: str) -> None:
    command = [sys.executable, "-c", CROWDED, database_url]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE_S, check=False)  # noqa: S603
    assert done.stdout == "(1,)\n"
