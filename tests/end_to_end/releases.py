"""Other releases of the gateway, beside which the present one runs: the next one, and the one before."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from ops.environment import PYTHON_PATH, ROOT
from ops.migrate import read_migrations
from ops.stack.services import ReplicaProcess
from tests.end_to_end.cluster import Cluster

FOLDERS = ("actors", "http", "ops")
"""All that a replica and its migrations need of a checkout."""
NEXT_VERSION = "99.0.0"
ADDED = """
ALTER TABLE payment ADD COLUMN added_later text NOT NULL DEFAULT '';
ALTER TABLE claim ADD COLUMN added_later text;
ALTER TABLE settlement ADD COLUMN added_later bigint NOT NULL DEFAULT 7;
ALTER TABLE replica ADD COLUMN added_later bigint;
CREATE TABLE added_later (number bigint);
"""
"""A migration as each release may bring one: it only adds, so that the release before goes on."""


def make_next_release(folder: Path) -> Path:
    """Make a release of the present code with another version and one migration more, which it needs."""
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "actors" / "domain" / "version.py").write_text(f'"""Another release."""\n\nVERSION = "{NEXT_VERSION}"\n')
    later = read_migrations()[-1].version + 1
    (folder / "ops" / "migrations" / f"{later:04}_later.sql").write_text(ADDED)
    queries = folder / "actors" / "adapters" / "postgres" / "queries.py"
    text, count = re.subn(r"SCHEMA_VERSION = \d+", f"SCHEMA_VERSION = {later}", queries.read_text())
    assert count == 1
    queries.write_text(text)
    return folder


def take_release_before(folder: Path) -> str | None:
    """Unpack the last commit before the newest migration; tell which it is, None where git does not have it."""
    newest = f"ops/migrations/{read_migrations()[-1].version:04}_*.sql"
    added = _git("log", "--diff-filter=A", "--format=%H", "-1", "--", newest)
    return take_release(f"{added.decode().strip()}^", folder) if added else None


def take_release(name: str, folder: Path) -> str | None:
    """Unpack a commit; tell which it is, None where git does not have it."""
    commit = _git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").decode().strip()
    archive = _git("archive", commit, *FOLDERS) if commit else b""
    if not archive:
        return None
    folder.mkdir()
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)  # noqa: S603, S607  # what git gave
    return commit


def _git(*arguments: str) -> bytes:
    """Run git in this checkout; nothing where it is no checkout, or one that is too shallow."""
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, check=False, capture_output=True).stdout  # noqa: S603  # git, with arguments of ours


def migrate_with(checkout: Path, database_url: str) -> list[str]:
    """Let a release migrate the database; list what it says."""
    command = [sys.executable, "-m", "ops.migrate"]
    environment = {**os.environ, "DATABASE_URL": database_url, "PYTHONPATH": PYTHON_PATH if checkout == ROOT else ""}
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=checkout, env=environment)  # noqa: S603  # ours
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def replace_replica(cluster: Cluster, number: int, checkout: Path) -> None:
    """Stop a replica in good order, and start one of another release with its name, its journal and its ports."""
    stack = cluster.stack
    stack.replica(number).stop()
    assert stack.replica(number).exit_status == 0
    replica = ReplicaProcess(number, stack.options, stack.replica_environment(), checkout)
    stack.replicas[number - 1] = replica
    replica.start()
    replica.wait_ready()
