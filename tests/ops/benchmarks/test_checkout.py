"""A revision is checked out once, beside the project."""

import shutil
import subprocess

import pytest

from ops import OpsError
from ops.benchmarks.checkout import CHECKOUTS, check_out
from ops.environment import ROOT


def git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], check=True, capture_output=True, text=True)  # noqa: S603, S607
    return done.stdout.strip()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_revision_gets_a_folder_of_its_own_that_is_kept() -> None:
    commit = git("rev-parse", "HEAD")
    existed = (CHECKOUTS / commit).exists()
    folder = check_out("HEAD")
    try:
        assert folder == CHECKOUTS / commit
        assert (folder / "ops" / "up").exists()
        assert check_out(commit) == folder
    finally:
        if not existed:
            git("worktree", "remove", "--force", str(folder))


@pytest.mark.parametrize("revision", ["no-such-revision", "--all", ""])
def test_what_is_no_revision_is_refused(revision: str) -> None:
    with pytest.raises(OpsError, match="git rev-parse"):
        check_out(revision)


def test_where_there_is_no_git_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(OpsError, match="git is not installed"):
        check_out("HEAD")
