"""A running gateway does what its description at `/openapi.json` says: schemathesis makes requests of it."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

from ops.environment import ROOT
from ops.stack.settings import StackOptions
from ops.stack.stack import Stack

TOKEN = "correct-horse-battery"
FOLDER = ROOT / "tests" / "end_to_end" / "described"
EXAMPLES_MAX = 6
RUN_S_MAX = 240


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
    assert done.returncode == 0, done.stdout + done.stderr
