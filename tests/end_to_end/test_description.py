"""A running gateway does what its description at `/openapi.json` says: schemathesis makes requests of it."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gateway.openapi.document import make_document
from ops.environment import ROOT
from ops.stack.settings import StackOptions
from ops.stack.stack import Stack

pytestmark = pytest.mark.long

TOKEN = "correct-horse-battery"
FOLDER = ROOT / "tests" / "end_to_end" / "described"
EXAMPLES_MAX = 6
RUN_S_MAX = 240
ANSWER_S_MAX = 30.0


def asked_on_one_connection(url: str) -> Iterator[tuple[str, int, int]]:
    """Send HEAD and OPTIONS to each path without parameters, and tell what was answered.

    All are sent on one connection, which a body after HEAD or 204 would bring out of step.
    """
    connection = HTTPConnection(urlsplit(url).netloc, timeout=ANSWER_S_MAX)
    for path, methods in make_document()["paths"].items():
        for method in ("HEAD", "OPTIONS"):
            if "{" in path or (method == "HEAD" and "get" not in methods):
                continue
            connection.request(method, f"{path}?state=settled" if path == "/payments" else path)
            kept = connection.sock
            answer = connection.getresponse()
            yield f"{method} {path}", answer.status, len(answer.read())
            assert connection.sock is kept is not None, f"{method} {path} ended the connection"
    connection.close()


def test_every_operation_does_what_its_description_says(tmp_path: Path) -> None:
    """Send valid and invalid requests to each operation, the same ones in every run."""
    options = replace(StackOptions.on_reserved_ports(tmp_path / "stack", {"ADMIN_TOKEN": TOKEN}), replicas=1)
    with Stack(options) as stack:
        command = [str(ROOT / ".venv" / "bin" / "schemathesis"), f"--config-file={FOLDER / 'schemathesis.toml'}"]
        command += ["run", f"{stack.replica_urls[0]}/openapi.json", "--phases=coverage,fuzzing"]
        command += [f"--max-examples={EXAMPLES_MAX}", "--generation-deterministic"]
        command += [f"--header=Authorization: Bearer {TOKEN}", "--no-color", "--continue-on-failure"]
        environment = os.environ | {"PYTHONPATH": str(FOLDER), "SCHEMATHESIS_HOOKS": "msgpack_bodies"}
        done = subprocess.run(  # noqa: S603  # our own command
            command, check=False, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=RUN_S_MAX
        )
        answers = list(asked_on_one_connection(stack.replica_urls[0]))
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(answers) > 15
    expected = [(asked, 200 if asked.startswith("HEAD") else 204, 0) for asked, *_ in answers]
    assert answers == expected
