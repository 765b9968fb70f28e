"""Every command has the same kind of --help, and the same exit status where it is used wrongly."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from ops import ExitStatus
from ops.arguments import EXIT_STATUSES
from ops.environment import ROOT
from tests.actors.adapters.postgres.storage import wait_until_blocked

COMMANDS = {
    "ops/up": ["-m", "ops.stack"],
    "ops/cluster": ["-m", "ops.clustertest"],
    "ops/load": ["-m", "ops.loadtest"],
    "ops/chaos": ["-m", "ops.chaostest"],
    "ops/bench": ["-m", "ops.benchmarks"],
    "ops/resolve": ["-m", "ops.resolution"],
    "ops/archive": ["-m", "ops.archiving"],
    "ops/reconcile": ["-m", "ops.reconciliation"],
    "ops/replicas": ["-m", "ops.replicas"],
    "ops/bare": ["-m", "ops.baretest"],
    "ops/judge": ["ops/judge"],
    "ops/test": ["ops/test"],
    "python -m ops.migrate": ["-m", "ops.migrate"],
}
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()


def run(command: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603 - ours
        [sys.executable, *COMMANDS[command], *arguments], check=False, capture_output=True, text=True, cwd=ROOT
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_help_tells_the_purpose_examples_how_long_it_takes_and_exit_statuses(command: str) -> None:
    done = run(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: {command} ")
    parts = [done.stdout.find(part) for part in ("examples:\n", "how long it takes: ", "exit status")]
    assert -1 < parts[0] < parts[1] < parts[2]
    assert "TAKES" not in done.stdout
    assert command in done.stdout[parts[0] : parts[1]]
    assert max(map(len, done.stdout.splitlines())) <= 120


@pytest.fixture(scope="module")
def fresh_checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project's code without an environment, and without the files that say what to install in one."""
    checkout = tmp_path_factory.mktemp("checkout")
    for folder in ("actors", "ops"):
        shutil.copytree(ROOT / folder, checkout / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return checkout


@pytest.mark.parametrize(
    "line", [*(line for line in COMMANDS if " " not in line), "ops/cluster up", "ops/cluster chaos", "ops/cluster down"]
)
def test_help_needs_no_package(fresh_checkout: Path, line: str) -> None:
    file, *arguments = line.split()
    # With -S, Python finds no package but its own.
    told = subprocess.check_output([sys.executable, "-S", fresh_checkout / file, *arguments, "--help"], text=True)  # noqa: S603 - ours
    assert told.startswith(f"usage: {line} ")
    assert {path.name for path in fresh_checkout.iterdir()} == {"actors", "ops"}


@pytest.mark.parametrize(
    "command", [command for command, how in COMMANDS.items() if how[0] == "-m" and " " not in command]
)
def test_a_command_starts_its_module_under_its_own_name(command: str) -> None:
    assert f'\nrun_module("{command}", "{COMMANDS[command][1]}", *sys.argv[1:])' in (ROOT / command).read_text()


@pytest.mark.parametrize("command", [command for command in COMMANDS if command != "ops/test"])
def test_what_cannot_be_meant_is_wrong_usage(command: str) -> None:
    done = run(command, "--no-such-option")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"usage: {command} ")


@pytest.mark.parametrize(
    ("command", "arguments", "table", "name"),
    [
        ("ops/archive", ["--keep"], "gateway", "ops/archive"),
        ("ops/reconcile", ["default={book}"], "settlement", "ops/reconcile"),
        ("ops/replicas", [], "replica", "ops/replicas"),
        ("python -m ops.migrate", [], "schema_migration", "ops.migrate"),
    ],
)
def test_the_server_knows_a_command_by_its_name(  # two are of the machine
    command: str, arguments: list[str], table: str, name: str, database_url: str, tmp_path: Path
) -> None:
    book = tmp_path / "book"
    book.touch()
    with psycopg.connect(database_url) as blocker, psycopg.connect(database_url, autocommit=True) as observer:
        blocker.execute(sql.SQL("LOCK TABLE {}").format(sql.Identifier(table)))
        running = subprocess.Popen(  # noqa: S603 - ours
            [sys.executable, *COMMANDS[command], *(each.format(book=book) for each in arguments)],
            cwd=ROOT,
            env={**os.environ, "DATABASE_URL": database_url},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        with running:
            wait_until_blocked(database_url, 1)
            waiting = observer.execute(
                "SELECT application_name FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ).fetchall()
            blocker.rollback()
            told, _ = running.communicate()
    assert (waiting, running.returncode) == ([(name,)], 0), told


def test_the_help_of_a_load_says_what_it_deletes() -> None:
    told = " ".join(run("ops/load", "--help").stdout.split())
    assert "deletes all payments of the gateway and the processors' books" in told
    assert "ALLOW_PURGE=1" in told


def test_the_help_of_a_stack_tells_every_port_and_its_default() -> None:
    told = " ".join(run("ops/up", "--help").stdout.split())
    assert "PORT + its number for itself" in told
    for default in ("9999", "8001,8002", "9001,9002", "0.05,0.15"):
        assert f"; default: {default}" in told


def test_a_benchmark_without_a_name_lacks_its_name_alone() -> None:
    done = run("ops/bench")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("error: the following arguments are required: NAME\n")


@pytest.mark.parametrize(("command", "given"), [("ops/reconcile", ["default=book"]), ("python -m ops.migrate", [])])
def test_no_database_is_guessed(command: str, given: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "")
    done = run(command, *given)
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: DATABASE_URL is not set: name a database" in done.stderr


def test_a_chaos_run_whose_page_cannot_be_written_is_not_run(tmp_path: Path) -> None:
    report = tmp_path / "none" / "run.html"
    done = run("ops/chaos", "--report", str(report))
    told = f"ops/chaos: --report {report}: No such file or directory\n"
    assert (done.returncode, done.stdout, done.stderr) == (3, "", told)


@pytest.mark.parametrize(("given", "is_long"), [([], False), (["--long"], True)])
def test_the_tests_are_either_long_or_not(monkeypatch: pytest.MonkeyPatch, given: list[str], *, is_long: bool) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "--collect-only -q tests/ops/simulation")
    done = run("ops/test", *given)
    assert done.returncode == 0
    assert ("test_dead_edge.py::" in done.stdout, "test_many_replicas.py::" in done.stdout) == (is_long, not is_long)


def test_the_document_lists_every_command_and_every_status() -> None:
    section = OPERATIONS.partition("\n## Commands\n")[2].partition("\n## ")[0]
    for command in COMMANDS:
        assert f"| `{command}` |" in section
    for status in ExitStatus:
        assert f"| {status.value} |" in section
    assert EXIT_STATUSES.keys() < {status.value for status in ExitStatus}
