"""Postgres is restored from a backup, which lacks what was charged since: nothing is charged twice, all is found."""

import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from random import Random
from urllib.parse import urlsplit
from uuid import UUID

import psycopg
import pytest

from ops.chaostest.client import administer
from ops.chaostest.workload import OfferedAmount, OfferedPayment
from ops.reconciliation import main as reconcile
from ops.stack.embedded import PostgresServer
from ops.stack.services import ReplicaProcess
from tests.end_to_end.cluster import Cluster, GatewayClient, running_cluster
from tests.end_to_end.test_restored_postgres import SHORT_HORIZON, replicas_that_noticed
from tests.waiting import wait_until

pytestmark = pytest.mark.long

SEED = 20250715
MANY = 20


class Payments:
    """The payments that a test posts, in the order of its story."""

    def __init__(self) -> None:
        rng = Random(SEED)
        self.before, self.under_way, self.on_default, self.on_fallback, self.later = (
            [OfferedPayment(UUID(int=rng.getrandbits(128), version=4), OfferedAmount(1990)) for _ in range(MANY)]
            for _ in range(5)
        )

    @property
    def lost(self) -> list[OfferedPayment]:
        """Those that are posted and settled after the backup."""
        return [*self.on_default, *self.on_fallback]

    @property
    def charged(self) -> list[OfferedPayment]:
        """Those that are charged before Postgres is restored."""
        return [*self.before, *self.under_way, *self.lost]


def behave(cluster: Cluster, **refuses: bool) -> None:
    """Let processors refuse connections, or take them again."""
    for name, refuse in refuses.items():
        administer(
            cluster.stack.simulator(name).admin_url, "PUT", "/admin/faults", json.dumps({"refuse": refuse}).encode()
        )


def post(url: str, payments: Sequence[OfferedPayment]) -> None:
    """Post payments; each has to be accepted."""
    client = GatewayClient(url)
    client.post(payments, connections=5)
    assert Counter(client.statuses) == {202: len(payments)}


def post_until_the_backup(cluster: Cluster, payments: Payments) -> None:
    """Settle some payments, and leave others under way: they have rows, and no processor takes them."""
    post(cluster.stack.url, payments.before)
    cluster.wait_for_settled(MANY)
    behave(cluster, default=True, fallback=True)
    post(cluster.stack.url, payments.under_way)
    wait_until(lambda: claims(cluster) == MANY)


def post_after_the_backup(cluster: Cluster, payments: Payments) -> None:
    """Settle those that are under way and more, some with each processor."""
    behave(cluster, default=False, fallback=False)
    cluster.wait_for_settled(2 * MANY)
    post(cluster.stack.url, payments.on_default)
    cluster.wait_for_settled(3 * MANY)
    behave(cluster, default=True)
    post(cluster.stack.url, payments.on_fallback)
    cluster.wait_for_settled(4 * MANY)
    behave(cluster, default=False)
    charged = Counter(name for *_, name in cluster.charges())
    assert charged["fallback"] >= MANY


def claims(cluster: Cluster) -> int:
    """Count the rows of payments that are under way."""
    with psycopg.connect(cluster.stack.database_url) as connection:
        (count,) = connection.execute("SELECT count(*) FROM claim").fetchone() or (0,)
    return int(count)


def check_each_is_charged_once(cluster: Cluster, payments: Sequence[OfferedPayment]) -> None:
    assert Counter(cluster.charged_ids()) == Counter(each.correlation_id for each in payments)


def fetch_books(cluster: Cluster, folder: Path) -> list[str]:
    """Fetch the processors' books as `ops/reconcile` reads them."""
    books = []
    for simulator in cluster.stack.simulators:
        path = folder / f"{simulator.name}.jsonl"
        path.write_bytes(administer(simulator.admin_url, "GET", "/admin/payments"))
        books.append(f"{simulator.name}={path}")
    return books


def run(postgres: PostgresServer, program: str, *arguments: str) -> None:
    """Run a program of PostgreSQL."""
    subprocess.run([str(postgres.binaries / program), *arguments], check=True, capture_output=True)  # noqa: S603  # its own


def test_a_restored_dump_charges_nothing_twice_and_ops_reconcile_records_what_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    payments, dump = Payments(), str(tmp_path / "fiel.dump")
    with running_cluster(tmp_path / "state", **SHORT_HORIZON) as cluster:
        stack, postgres = cluster.stack, cluster.stack.postgres
        assert postgres is not None
        post_until_the_backup(cluster, payments)
        run(postgres, "pg_dump", "--format=custom", f"--file={dump}", stack.database_url)
        post_after_the_backup(cluster, payments)
        for replica in stack.replicas:
            replica.stop()
        with psycopg.connect(stack.database_url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE restored")
        stack.database_url = urlsplit(stack.database_url)._replace(path="/restored").geturl()
        run(postgres, "pg_restore", "--exit-on-error", f"--dbname={stack.database_url}", dump)
        assert claims(cluster) == MANY
        stack.replicas = [ReplicaProcess(each, stack.options, stack.replica_environment()) for each in (1, 2, 3)]
        for replica in stack.replicas:
            replica.start()
        for replica in stack.replicas:
            replica.wait_ready()
        wait_until(lambda: replicas_that_noticed(cluster) == 3)
        # What was under way is looked up; half of what is lost is posted again, some of it charged by fallback.
        again = [*payments.on_default[: MANY // 2], *payments.on_fallback[: MANY // 2]]
        post(stack.url, again)
        cluster.wait_for_settled(3 * MANY)
        check_each_is_charged_once(cluster, payments.charged)
        monkeypatch.setenv("DATABASE_URL", stack.database_url)
        books = fetch_books(cluster, tmp_path)
        capsys.readouterr()
        assert reconcile([*books, "--json"]) == 1
        assert json.loads(capsys.readouterr().out)["counts"] == {"missing": MANY}
        assert reconcile([*books, "--json", "--record"]) == 0
        post(stack.url, payments.charged)
        assert cluster.summary(stack.replica_urls[0]) == cluster.processors_summary()
        check_each_is_charged_once(cluster, payments.charged)


def archive_log(cluster: Cluster, postgres: PostgresServer, archive: Path) -> None:
    """Let Postgres archive its log, which takes a restart."""
    archive.mkdir(mode=0o777)
    archive.chmod(0o777)
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET archive_mode = on")
        connection.execute(f"ALTER SYSTEM SET archive_command = 'cp %p {archive}/%f'".encode())
    postgres.stop()
    postgres.start()
    postgres.wait_ready()
    wait_until(lambda: all(replica.ready() for replica in cluster.stack.replicas))


def recover(postgres: PostgresServer, backup: Path, archive: Path, until: str) -> None:
    """Put a base backup in the place of the data, and let Postgres replay its archived log until an instant."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        (last,) = connection.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchone() or ("",)
    wait_until((archive / last).exists)
    postgres.stop()
    shutil.rmtree(postgres.data)
    backup.rename(postgres.data)
    (postgres.data / "recovery.signal").touch()
    settings = {
        "restore_command": f"cp {archive}/%f %p",
        "recovery_target_time": until,
        "recovery_target_action": "promote",
    }
    with (postgres.data / "postgresql.auto.conf").open("a") as file:
        file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
    for path in (postgres.data, *postgres.data.rglob("*")):
        os.chown(path, postgres.account.pw_uid, postgres.account.pw_gid)
    postgres.start()
    postgres.wait_ready()
    wait_until(partial(is_promoted, postgres))


def is_promoted(postgres: PostgresServer) -> bool:
    """Tell whether the recovery has ended."""
    with psycopg.connect(postgres.url) as connection:
        return connection.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)


def test_a_recovery_to_a_point_in_time_under_running_replicas_charges_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    payments, archive, backup = Payments(), tmp_path / "archive", tmp_path / "backup"
    with running_cluster(tmp_path / "state", **SHORT_HORIZON) as cluster:
        stack, postgres = cluster.stack, cluster.stack.postgres
        assert postgres is not None
        archive_log(cluster, postgres, archive)
        run(postgres, "pg_basebackup", f"--pgdata={backup}", f"--dbname={postgres.url}", "--checkpoint=fast")
        post_until_the_backup(cluster, payments)
        with psycopg.connect(postgres.url) as connection:
            (until,) = connection.execute("SELECT clock_timestamp()::text").fetchone() or ("",)
        post_after_the_backup(cluster, payments)
        recover(postgres, backup, archive, until)
        wait_until(lambda: replicas_that_noticed(cluster) == 3)
        # Who has accepted one knows it still; the other replicas take it for a new one.
        for url in stack.replica_urls:
            post(url, [*payments.lost, *payments.later])
        cluster.wait_for_settled(5 * MANY)
        check_each_is_charged_once(cluster, [*payments.charged, *payments.later])
        assert cluster.summary(stack.replica_urls[0]) == cluster.processors_summary()
        monkeypatch.setenv("DATABASE_URL", stack.database_url)
        assert reconcile(fetch_books(cluster, tmp_path)) == 0
