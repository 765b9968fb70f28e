"""A replica that was given no name has one by its journal's folder, which no other process has."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from actors.errors import SettingsError
from gateway.server.own_folder import take_own_name
from ops.environment import ROOT

NAME = re.compile(r"h-[0-9a-f]{8}").fullmatch
PROGRAM = """
import sys
from pathlib import Path
from gateway.server.own_folder import take_own_name
print(take_own_name(Path(sys.argv[1]), "h"), flush=True)
sys.stdin.read()
"""


@contextmanager
def process(folder: Path) -> Iterator[str]:
    """Run a process that holds a name, which is given."""
    command = [sys.executable, "-c", PROGRAM, str(folder)]
    with subprocess.Popen(  # noqa: S603  # ours
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as started:
        assert started.stdin is not None
        assert started.stdout is not None
        yield started.stdout.readline().strip()
        started.stdin.close()
        assert started.wait() == 0


def test_two_processes_of_one_host_have_names_of_their_own_and_keep_them_over_restarts(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "journals"
    with process(folder) as first, process(folder) as second:
        assert NAME(first)
        assert NAME(second)
        assert first != second
    with process(folder) as again, process(folder) as other:
        assert {again, other} == {first, second}
        with process(folder) as third:
            assert third not in {first, second}


def test_hosts_of_one_name_differ(tmp_path: Path) -> None:
    with process(tmp_path / "1") as first, process(tmp_path / "2") as second:
        assert first != second


def test_a_journal_of_a_release_before_gives_its_name(tmp_path: Path) -> None:
    for name in ("h", "h-7", "h-0123456", "host-01234567", "g-01234567"):
        (tmp_path / name).mkdir()
    with process(tmp_path) as first, process(tmp_path) as second:
        assert first == "h"
        assert NAME(second)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(SettingsError, match="JOURNAL_DIR"):
        take_own_name(tmp_path, "h")


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="JOURNAL_DIR"):
        take_own_name(tmp_path / "file", "h")
