"""A second checkout of the project, of the revision that a benchmark compares with."""

import shutil
import subprocess
from pathlib import Path

from ops import OpsError
from ops.environment import ROOT

CHECKOUTS = ROOT / "var" / "benchmarks"


def check_out(revision: str) -> Path:
    """Return a folder with the project at `revision`, made by `git worktree` where there is none yet.

    It is kept for the next benchmark, with the environment that its own `ops/up` installs in it;
    `git worktree remove --force` forgets it.

    Raises:
        OpsError: git is missing, does not know the revision, or cannot check it out.
    """
    commit = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    folder = CHECKOUTS / commit
    if not (folder / ".git").exists():
        _git("worktree", "prune")
        _git("worktree", "add", "--detach", str(folder), commit)
    return folder


def _git(*arguments: str) -> str:
    if shutil.which("git") is None:
        raise OpsError(f"git {' '.join(arguments)} cannot be run: git is not installed")
    done = subprocess.run(  # noqa: S603 - git, with arguments of ours and a revision that cannot be an option
        ["git", "-C", str(ROOT), *arguments],  # noqa: S607 - wherever git is installed
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise OpsError(f"git {' '.join(arguments)} failed: {' '.join(done.stderr.split()) or 'no such revision'}")
    return done.stdout.strip()
