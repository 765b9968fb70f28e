"""Every command that a document shows is run here or by another test, or it is said why no test runs it."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from uuid import uuid4

import pytest
from psycopg.conninfo import conninfo_to_dict

from ops.chaostest.workload import OfferedAmount, OfferedPayment
from ops.environment import ROOT
from ops.stack.embedded import PostgresServer
from ops.stack.settings import StackOptions
from tests.documents.commands import (
    DOCUMENTS,
    commands_of,
    commands_of_block,
    programs_of,
    project_commands,
)
from tests.end_to_end.cluster import GatewayClient
from tests.ops.test_commands import COMMANDS

DEADLINE_S = 60.0
PAYMENT = "4a7901b8-7d26-4d9d-aa19-4dc1c7cf60b3"
FAILURE = "curl -X PUT localhost:8001/admin/configurations/failure -H 'X-Rinha-Token: 123' -d"
BREAKER = 'curl -X PUT $breaker -H "$json" -d'
BOOK = "curl -s -H 'X-Rinha-Token: 123' http://localhost"
RECONCILE = "DATABASE_URL=… ops/reconcile default=default.jsonl fallback=fallback.jsonl"

RUN_HERE = {
    (
        "curl -i localhost:9999/payments -H 'Content-Type: application/json'"
        f""" -d '{{"correlationId": "{PAYMENT}", "amount": 19.90}}'"""
    ): r"^HTTP/1\.1 202 ",
    f"curl localhost:9999/payments/{PAYMENT}": f'"correlationId": ?"{PAYMENT}"',
    "curl localhost:9999/payments-summary": r'"default": ?{"totalRequests": ?\d',
    "curl localhost:8001/admin/payments-summary -H 'X-Rinha-Token: 123'": r'"totalRequests": ?\d',
    FAILURE + """ '{"failure": true}'""": "",
    "curl localhost:9999/processors": '"default": ?{"charges": ?true',
    FAILURE + """ '{"failure": false}'""": "",
    BREAKER + """ '{"state": "forced-open"}'""": '"replicas": ?[1-3]',
    BREAKER + """ '{"state": "automatic"}'""": '"replicas": ?[1-3]',
    f"{BOOK}:9001/admin/payments > default.jsonl": "",
    f"{BOOK}:9002/admin/payments > fallback.jsonl": "",
    RECONCILE: "^Postgres agrees with the books; 0 charges recorded",
    f"{RECONCILE} --record": "^Postgres agrees with the books; 0 charges recorded",
    "ops/archive --folder /srv/archive": "^Archived: partitions detached: 0",
    'pg_dump --format=custom --file=fiel.dump "$DATABASE_URL"': "",
    "createdb restored && pg_restore --exit-on-error --dbname=restored fiel.dump": "",
    'psql "$DATABASE_URL" -c "ALTER SYSTEM SET archive_mode = on"': "^ALTER SYSTEM",
    """psql "$DATABASE_URL" -c "ALTER SYSTEM SET archive_command = 'cp %p /archive/%f'\"""": "^ALTER SYSTEM",
    (
        'psql "$DATABASE_URL" -c "SELECT relname, pg_total_relation_size(oid)'
        " / greatest(1, (SELECT count(*) FROM settlement))\n"
        "FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 2 DESC\""
    ): r"^ settlement_sum +\| +\d",
    "python3 -c 'import secrets; print(secrets.token_urlsafe(32))'": r"^[\w-]{43}$",
    # The last one, since replicas go by it from then on.
    (
        'psql -c "UPDATE gateway SET forgot_history = database_history(),'
        ' forgot_at_ms = extract(epoch FROM now()) * 1000"'
    ): "^UPDATE 1",
}
"""Commands that are run here against one `ops/up`, in this order, and what each has to print."""

FEED = "curl -N 'localhost:9999/payments/events?after=latest' -H 'Accept: text/event-stream'"
RECOVERY = (
    "tests/end_to_end/test_backups.py::test_a_recovery_to_a_point_in_time_under_running_replicas_charges_nothing_twice"
)
PINS = "tests/ops/test_pins.py::test_each_file_has_the_versions_of_the_file_before_it"
MUTATION = (
    "tests/ops/mutationtest/test_mutationtest.py"
    "::test_tests_kill_a_planted_mistake_and_let_pass_what_makes_no_difference"
)
RUN_ELSEWHERE = {
    FEED: "tests/documents/test_commands.py::test_the_feed_tells_of_payments_that_are_settled_meanwhile",
    (
        "WEBHOOK_SECRET=… .venv/bin/python ops/examples/webhooks.py"
        " http://localhost:9999 https://shop.example/ cursor.txt"
    ): (
        "tests/ops/examples/test_webhooks.py"
        "::test_every_event_is_delivered_in_order_with_a_signature_however_often_it_is_killed"
    ),
    'pg_basebackup --pgdata=/backup --dbname="$DATABASE_URL" --checkpoint=fast': RECOVERY,
    (
        'pg_ctl stop && mv "$PGDATA" "$PGDATA.lost" && cp -a /backup "$PGDATA" && touch "$PGDATA/recovery.signal"'
    ): RECOVERY,
    (
        'cat >> "$PGDATA/postgresql.auto.conf" <<END\n'
        "restore_command = 'cp /archive/%f %p'\n"
        "recovery_target_time = '2025-07-15 12:34:56+00'\n"
        "recovery_target_action = 'promote'\n"
        "END"
    ): RECOVERY,
    "pg_ctl start": RECOVERY,
    "PYTHONPATH=.:http .venv/bin/python -m pytest tests/end_to_end/test_hosts.py --log-cli-level=INFO": (
        "tests/end_to_end/test_hosts.py"
        "::test_payments_are_charged_once_over_an_upgrade_and_a_switchover_and_the_machine_is_left_as_it_was"
    ),
    'PYTHONPATH=.:http gunicorn -c ops/gunicorn.conf.py "gateway.main:application()"': (
        "tests/end_to_end/test_logs.py::test_a_replica_logs_json_alone_without_secrets_and_without_a_traceback_for_rubbish"
    ),
    "prometheus --config.file=ops/observability/prometheus.yml": (
        "tests/end_to_end/test_prometheus.py::test_each_replica_is_scraped_by_itself_without_an_error"
    ),
    "python -m ops.replicas": "tests/ops/test_replicas.py::test_replicas_are_listed_with_what_they_may_hold",
    "python -m ops.reconciliation default=BOOK": "tests/ops/test_reconciliation.py::test_books_that_agree",
    "python -m ops.archiving": "tests/ops/archiving/test_archive.py::test_the_command_archives_and_restores",
    "python -m ops.migrate": "tests/ops/test_migrate.py::test_the_command_prints_the_migrations_that_it_applied",
    "python -m ops.pack_submission": (
        "tests/test_deployment.py::test_what_is_submitted_is_this_file_without_what_the_event_brings_itself"
    ),
    "python -m ops.observability.dashboard": (
        "tests/ops/observability/test_alerts.py::test_the_dashboard_is_the_one_that_its_source_makes"
    ),
    "pip install -r requirements-otel.txt": (
        "tests/end_to_end/test_traces.py::test_without_its_packages_a_wish_for_traces_is_refused_with_what_to_install"
    ),
    ".venv/bin/ruff format . && .venv/bin/ruff check .": ".ci/run::-m ruff format",
    ".venv/bin/mypy": ".ci/run::-m mypy",
    "python3 -m ops.environment requirements-checks.txt": ".ci/run::-m ops.environment requirements-checks.txt",
    ".venv/bin/python -m ops.pins": PINS,
    ".venv/bin/python -m ops.pins --upgrade": PINS,
    ".venv/bin/python -m ops.mutationtest": MUTATION,
    ".venv/bin/python -m ops.mutationtest breaker money": MUTATION,
    ".venv/bin/python -m ops.mutationtest --share 0.1 --seed 1 --test-seconds 4": MUTATION,
}
"""Commands that another test, or `.ci/run`, runs in this form or another one, or what comes of which it checks."""

NOT_RUN = {
    "docker": "takes Docker",
    "kubectl": "takes a cluster of Kubernetes",
    ".ci/run": "runs the tests itself",
    "apt": "changes the machine",
    "apt-get": "changes the machine",
    "df": "measures the reader's own",
    "du": "measures the reader's own",
    "git": "is about the reader's own branch, or makes a release",
    "kill": "is what tests do by `os.kill`",
    "patronictl": "takes a running `ops/cluster`",
    "openssl": "is no requirement of the project",
    "redis-cli": "is no requirement of the project",
    "k6": "is no requirement of the project",
    "wrk": "is no requirement of the project",
    "py-spy": "is no requirement of the project",
}
"""Programs that no test runs, and why."""

FILES = ("default.jsonl", "fallback.jsonl", "fiel.dump", "/srv/archive")
"""Files and folders of the commands that are run here."""
UNKNOWN = "--no-such-option"
SHOWN = {shown.text: shown for path in DOCUMENTS for shown in commands_of(path)}
LISTED = [*RUN_HERE, *RUN_ELSEWHERE]
OTHERS = [text for text in SHOWN if text not in LISTED and not NOT_RUN.keys() & programs_of(text)]
READ = sorted({shlex.join(words) for text in OTHERS for words in project_commands(text) if "--help" not in words})
"""Calls of the project's commands that take minutes, or a free port 9999: their options are read, and no more."""


@dataclass(frozen=True, slots=True)
class RunningStack:
    """An `ops/up` that was started for the commands of the documents."""

    url: str
    ports: Mapping[str, int]
    """The port that is used here in the place of each of the documents."""
    environment: Mapping[str, str]
    """Variables with which commands reach its PostgreSQL."""
    folder: Path
    """Where commands write their files."""

    def adapt(self, text: str) -> str:
        """Let a command of a document go to this stack, write into its folder, and fail where a server refuses."""
        text = re.sub(r"localhost:(\d+)", lambda found: f"localhost:{self.ports[found[1]]}", text)
        text = text.replace("DATABASE_URL=… ", "")
        for file in FILES:
            text = re.sub(rf"(?<![\w/]){re.escape(file)}", str(self.folder / Path(file).name), text)
        return f'curl() {{ command curl --silent --show-error --fail-with-body "$@"; }}; {text}'


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """Start the gateway as the README says, on other ports and with a folder of its own."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed: apt install curl")
    folder = tmp_path_factory.mktemp("documents")
    (folder / "archive").mkdir()
    options = StackOptions.on_reserved_ports(folder / "state")
    pairs = {"--processor-ports": options.processor_ports, "--admin-ports": options.admin_ports}
    places = [f"{option}={first},{second}" for option, (first, second) in pairs.items()]
    # One replica answers as three do, and takes less of the machine.
    places += ["--replicas=1", "--fresh", "--json"]
    command = [str(ROOT / "ops" / "up"), f"--port={options.port}", f"--state-dir={options.state_dir}"]
    with subprocess.Popen(  # noqa: S603 - ours
        [*command, *places], stdout=subprocess.PIPE, text=True, env={**os.environ, "ALLOW_PURGE": "1"}
    ) as running:
        try:
            assert running.stdout is not None
            ready = json.loads(running.stdout.readline())
            used = (options.port, *options.processor_ports, *options.admin_ports)
            ports = dict(zip(("9999", "8001", "8002", "9001", "9002"), used, strict=True))
            yield RunningStack(ready["url"], ports, _postgres_environment(ready["database_url"], folder), folder)
        finally:
            running.terminate()
            running.wait(DEADLINE_S)
    assert running.returncode == 0


def _postgres_environment(database_url: str, folder: Path) -> dict[str, str]:
    """Make the variables by which PostgreSQL's programs, which are found as well, and Fiel's reach a server."""
    parts = conninfo_to_dict(database_url)
    names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGDATABASE": "dbname"}
    programs = PostgresServer(folder / "none", log=folder / "none.log").binaries
    variables = {name: str(parts[part]) for name, part in names.items()}
    return {**os.environ, **variables, "DATABASE_URL": database_url, "PATH": f"{programs}:{os.environ['PATH']}"}


@contextmanager
def running_shell(stack: RunningStack, text: str) -> Iterator["subprocess.Popen[str]"]:
    """Run a command line by the shell, in the checkout."""
    with subprocess.Popen(  # noqa: S603 - our own documents
        ["bash", "-o", "pipefail", "-c", stack.adapt(text)],  # noqa: S607 - that of the system
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env=stack.environment,
    ) as running:
        yield running


def test_every_command_is_run_or_read_or_it_is_said_why_not() -> None:
    assert [text for text in OTHERS if not project_commands(text)] == []


def test_nothing_is_listed_twice_or_shown_nowhere() -> None:
    assert [text for text in LISTED if text not in SHOWN or LISTED.count(text) > 1] == []
    assert NOT_RUN.keys() - {program for text in SHOWN for program in programs_of(text)} == set()


@pytest.mark.parametrize("place", sorted(set(RUN_ELSEWHERE.values())))
def test_what_runs_a_command_elsewhere_exists(place: str) -> None:
    file, _, part = place.partition("::")
    assert part
    assert (f"def {part}(" if file.endswith(".py") else part) in (ROOT / file).read_text()


def test_the_feed_tells_of_payments_that_are_settled_meanwhile(stack: RunningStack) -> None:
    client = GatewayClient(stack.url)
    with running_shell(stack, f"exec {FEED}") as running, ThreadPoolExecutor(1) as pool:
        assert running.stdout is not None
        told = pool.submit(any, ("settled" in line for line in running.stdout))
        deadline_s = time.monotonic() + DEADLINE_S
        while not told.done() and time.monotonic() < deadline_s:
            client.post([OfferedPayment(uuid4(), OfferedAmount(1990))])
            wait([told], timeout=0.1)
        running.terminate()
    assert told.result()


@pytest.mark.parametrize("text", RUN_HERE)
def test_a_command_prints_what_it_is_shown_for(stack: RunningStack, text: str) -> None:
    with running_shell(stack, SHOWN[text].variables + text) as running:
        printed, _ = running.communicate(timeout=DEADLINE_S)
    assert running.returncode == 0, printed
    assert re.search(RUN_HERE[text], printed, re.MULTILINE), printed


@pytest.mark.parametrize("line", [line for line in READ if not line.startswith("ops/test")])
def test_a_command_takes_the_options_that_it_is_shown_with(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    command, *arguments = shlex.split(line)
    module = import_module(COMMANDS[command][-1].replace("/", "."))
    if hasattr(module, "__path__"):
        module = import_module(f"{module.__name__}.__main__")
    with pytest.raises(SystemExit):
        module.main([*arguments, UNKNOWN])
    # Whatever else cannot be meant would be told instead.
    assert capsys.readouterr().err.endswith(f"error: unrecognized arguments: {UNKNOWN}\n")


def test_pytest_takes_the_options_that_ops_test_is_shown_with() -> None:
    lines = [line for line in READ if line.startswith("ops/test") and line != "ops/test --long"]
    arguments = [word for line in lines for word in shlex.split(line)[1:]]
    assert [word for word in arguments if "/" in word and not (ROOT / word).exists()] == []
    command = [sys.executable, "-m", "pytest", "--noconftest", *arguments, UNKNOWN]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)  # noqa: S603 - ours
    assert f"error: unrecognized arguments: {UNKNOWN}\n" in done.stderr


def test_lines_that_go_on_are_one_command_without_comments() -> None:
    block = "    a b  # why\n    c \\\n      d\n\n    # nothing\n    cat <<END\n    text\n    END\n"
    block += "    { e\n      f; } | g\n"
    assert list(commands_of_block(block)) == ["a b", "c d", "cat <<END\ntext\nEND", "{ e\nf; } | g"]


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("A=1 ops/up --fresh; ops/load calm && ops/judge f", ["ops/up --fresh", "ops/load calm", "ops/judge f"]),
        ("for a in b c; do A=$a ops/bench cost; done", ["ops/bench cost"]),
        ("ops/up | curl localhost", []),
    ],
)
def test_a_line_is_taken_for_the_projects_own_only_if_all_of_it_is(text: str, commands: list[str]) -> None:
    assert [" ".join(words) for words in project_commands(text)] == commands


def test_every_program_of_a_line_is_found() -> None:
    assert programs_of("A=1 b c; for d in e; do f; done | g && h") >= {"b", "f", "g", "h"}
