"""Makes the data directory of an embedded PostgreSQL: by initdb, or as a copy of a template."""

import fcntl
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ops import OpsError


def make_data_directory(data: Path, initdb: Callable[[Path], None], template: Path | None) -> None:
    """Make `data`; an interruption leaves no directory of that name.

    Args:
        data: a directory that does not exist yet.
        initdb: fills an empty directory.
        template: a directory to copy, which is made by `initdb` where it is missing; None runs `initdb` for `data`.

    Raises:
        OpsError: there is no place for the template or its copy.
    """
    if template is None:
        with _unfinished(data) as directory:
            directory.mkdir(mode=0o700)
            initdb(directory)
        return
    try:
        template.parent.mkdir(parents=True, exist_ok=True)
        with template.with_name(f"{template.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not template.exists():
                make_data_directory(template, initdb, None)
    except OSError as error:
        raise OpsError(f"{template} cannot be made: {error.strerror}") from error
    with _unfinished(data) as directory:
        command = ["cp", "--archive", "--no-target-directory", str(template), str(directory)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - our own paths
        if done.returncode != 0:
            raise OpsError(f"{data} cannot be made from a template: {done.stderr.strip()}")


@contextmanager
def _unfinished(data: Path) -> Iterator[Path]:
    """Yield a temporary name, which becomes `data` once it is complete."""
    directory = data.with_name(f"{data.name}.unfinished")
    shutil.rmtree(directory, ignore_errors=True)
    yield directory
    directory.rename(data)
