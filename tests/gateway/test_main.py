"""A replica whose environment is unusable ends, and says in one line what is wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ops.stack.ports import reserve_ports

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "gunicorn", "-c", "ops/gunicorn.conf.py", "gateway.main:application()"]

END_S_MAX = 60.0


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LOG_LEVEL", "VERBOSE"),
        ("LOG_FORMAT", "xml"),
        ("ACCESS_LOG", "yes"),
        ("DATABASE_URL", "postgresql://h:99999/x"),
        ("REDIS_URL", "http://h"),
        ("JOURNAL_DIR", "/dev/null/journal"),
        ("PROCESSORS", "default=h"),
        ("BIND", "127.0.0.1:70000"),
    ],
)
def test_what_is_malformed_is_one_line_that_names_it(variable: str, value: str, tmp_path: Path) -> None:
    environment = {
        "PYTHONPATH": f"{ROOT}:{ROOT / 'http'}",
        "DATABASE_URL": "postgresql:///none?host=/nowhere",
        "REDIS_URL": "unix:///nowhere",
        "JOURNAL_DIR": str(tmp_path),
        "BIND": f"127.0.0.1:{reserve_ports(1)[0]}",
    }
    done = subprocess.run(  # noqa: S603  # ours
        COMMAND,
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=END_S_MAX,
        env={**os.environ, **environment, variable: value},
    )
    told = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.returncode != 0
    (reason,) = (line["reason"] for line in told if line["logger"] != "gunicorn.error")
    assert variable in reason
